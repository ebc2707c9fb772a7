//! The pipeline's worker. Start it, then `pipeline-start-workflow`.

#[allow(dead_code)] // Each program uses its part of these.
mod connect;
mod exit;
#[allow(dead_code)]
mod records;
#[allow(dead_code)]
mod transform;
mod workflow;

use std::process::ExitCode;

use temporalio_sdk::{Runtime, Worker, WorkerOptions};

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await)
}

async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let runtime = Runtime::from_current_tokio(Default::default())?;
    let options = WorkerOptions::new(workflow::TASK_QUEUE)
        .register_workflow::<workflow::Pipeline>()?
        .register_activities(workflow::Activities)
        .build();
    let mut worker = Worker::new(&runtime, connect::client().await?, options)?;
    println!("Worker on task queue {:?}. Stop it with Ctrl-C.", workflow::TASK_QUEUE);
    let shutdown = worker.shutdown_handle();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        shutdown();
    });
    worker.run().await?;
    Ok(())
}
