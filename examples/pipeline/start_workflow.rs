//! Starts the pipeline with a dataset and prints what it returns. A `pipeline-worker` has to run.

#[allow(dead_code)] // Each program uses its part of these.
mod connect;
mod exit;
mod options;
mod records;
mod report;
#[allow(dead_code)]
mod transform;
mod workflow;

use std::process::ExitCode;

use clap::Parser as _;
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await)
}

async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let dataset = options::Options::parse().dataset()?;
    let client = connect::client().await?;
    let id = report::new_workflow_id();
    let start = WorkflowStartOptions::new(workflow::TASK_QUEUE, &id).build();
    let handle = client.start_workflow(workflow::Pipeline::run, dataset, start).await?;
    println!("Started {id}. Waiting for its result ...");
    let summary = handle.get_result(WorkflowGetResultOptions::default()).await?;
    report::summary(&summary);
    report::history(&client, &id).await
}
