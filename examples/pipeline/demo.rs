//! Worker and starter in one: runs the pipeline once and shows what became of its payloads.

mod connect;
mod exit;
mod options;
mod records;
mod report;
mod transform;
mod workflow;

use std::process::ExitCode;

use clap::Parser as _;
use temporalio_client::{Client, WorkflowGetResultOptions, WorkflowStartOptions};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::task::LocalSet;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await)
}

async fn run() -> Result<(), Error> {
    let dataset = options::Options::parse().dataset()?;
    let client = connect::client().await?;
    let runtime = Runtime::from_current_tokio(Default::default())?;
    let options = WorkerOptions::new(workflow::TASK_QUEUE)
        .register_workflow::<workflow::Pipeline>()?
        .register_activities(workflow::Activities)
        .build();
    let mut worker = Worker::new(&runtime, client.clone(), options)?;
    let shutdown = worker.shutdown_handle();
    let work = LocalSet::new();
    let ran = work.run_until(async {
        let pipeline = async {
            let outcome = pipeline(&client, dataset).await;
            shutdown();
            outcome
        };
        let (outcome, worker) = tokio::join!(pipeline, worker.run());
        worker?;
        outcome
    });
    ran.await
}

async fn pipeline(client: &Client, dataset: records::Dataset) -> Result<(), Error> {
    let size = serde_json::to_vec(&dataset)?.len();
    println!("Dataset: {}, {} records, {size} bytes of JSON", dataset.name, dataset.records.len());
    let id = report::new_workflow_id();
    let start = WorkflowStartOptions::new(workflow::TASK_QUEUE, &id).build();
    let handle = match client.start_workflow(workflow::Pipeline::run, dataset, start).await {
        Ok(handle) => handle,
        Err(error) if !connect::enabled() => return explain(&error, size),
        Err(error) => return Err(error.into()),
    };
    let summary = handle.get_result(WorkflowGetResultOptions::default()).await?;
    report::summary(&summary);
    report::history(client, &id).await?;
    if !connect::enabled() {
        println!(
            "\nThis dataset fits into the server's limits without the pattern; --records 10000 does not."
        );
    }
    Ok(())
}

/// The pattern is off, and the server refused: that is what the user wanted to see.
fn explain(error: &dyn std::error::Error, size: usize) -> Result<(), Error> {
    println!("\nWithout the Claim Check pattern the server refused to start the workflow:\n\n  {error}\n");
    println!(
        "Temporal takes payloads of up to 2 MiB and requests of up to 4 MiB; this dataset has {size} bytes."
    );
    println!("With CLAIM_CHECK_ENABLED=true it goes to Redis, and only a reference goes through Temporal.");
    Ok(())
}
