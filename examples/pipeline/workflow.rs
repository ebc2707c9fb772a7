//! The pipeline: a large dataset in, a large dataset between the activities, a small summary out. Nothing here
//! knows that payloads are kept elsewhere.

use std::time::Duration;

use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

use crate::records::Dataset;
use crate::transform::{self, Summary, TransformedDataset};

pub const TASK_QUEUE: &str = "claim-check-pipeline";

#[workflow]
#[derive(Default)]
pub struct Pipeline;

#[workflow_methods]
impl Pipeline {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, dataset: Dataset) -> WorkflowResult<Summary> {
        let options = || ActivityOptions::start_to_close_timeout(Duration::from_secs(60));
        let transformed =
            ctx.execute_activity(Activities::transform_large_dataset, dataset, options()).await?;
        Ok(ctx.execute_activity(Activities::generate_summary, transformed, options()).await?)
    }
}

pub struct Activities;

#[activities]
impl Activities {
    #[activity]
    pub async fn transform_large_dataset(
        _ctx: ActivityContext,
        dataset: Dataset,
    ) -> Result<TransformedDataset, ActivityError> {
        Ok(transform::transform(dataset))
    }

    #[activity]
    pub async fn generate_summary(
        _ctx: ActivityContext,
        dataset: TransformedDataset,
    ) -> Result<Summary, ActivityError> {
        Ok(transform::summarize(&dataset))
    }
}
