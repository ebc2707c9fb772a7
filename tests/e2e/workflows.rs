//! What the tests run. Workflow code sees texts; it knows nothing of stores.

use std::time::Duration;

use temporalio_common::RetryPolicy;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::{
    ActivityOptions, ChildWorkflowOptions, ContinueAsNewOptions, LocalActivityOptions, SyncWorkflowContext,
    WorkflowContext, WorkflowContextView, WorkflowResult,
};

type Builder = temporalio_sdk::WorkerOptionsBuilder;

pub fn register(options: Builder) -> Builder {
    options
        .register_workflow::<Echo>()
        .unwrap()
        .register_workflow::<LocalEcho>()
        .unwrap()
        .register_workflow::<Failing>()
        .unwrap()
        .register_workflow::<Heartbeating>()
        .unwrap()
        .register_workflow::<Mailbox>()
        .unwrap()
        .register_workflow::<Parent>()
        .unwrap()
        .register_workflow::<Relay>()
        .unwrap()
        .register_workflow::<Patient>()
        .unwrap()
        .register_activities(Texts)
}

fn quickly() -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(30))
        .retry_policy(RetryPolicy::builder().initial_interval(Duration::from_millis(200)).build())
        .build()
}

pub struct Texts;

#[activities]
impl Texts {
    /// The text with every letter in upper case: as large, and different.
    #[activity]
    pub async fn shout(_ctx: ActivityContext, text: String) -> Result<String, ActivityError> {
        Ok(text.to_uppercase())
    }

    #[activity]
    pub async fn fail(_ctx: ActivityContext, text: String) -> Result<(), ActivityError> {
        let failure =
            ApplicationFailure::builder("it failed as told").non_retryable(true).details(text.to_uppercase());
        Err(ActivityError::application(failure.build()))
    }

    /// Notes its progress, fails once, and the second time answers what it had noted.
    #[activity]
    pub async fn remember(ctx: ActivityContext, text: String) -> Result<String, ActivityError> {
        if let Some(noted) = ctx.heartbeat_details().deserialize::<String>()? {
            // Long enough for the test to look at the pending activity.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(noted);
        }
        ctx.record_heartbeat(text.to_uppercase()).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        Err(ActivityError::application(ApplicationFailure::new("once more")))
    }
}

#[workflow]
#[derive(Default)]
pub struct Echo;

#[workflow_methods]
impl Echo {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
        let shouted = ctx.execute_activity(Texts::shout, text, quickly()).await?;
        Ok(shouted.to_lowercase() + "!")
    }

    #[query]
    pub fn small(&self, _ctx: &WorkflowContextView) -> String {
        "here".to_owned()
    }
}

#[workflow]
#[derive(Default)]
pub struct LocalEcho;

#[workflow_methods]
impl LocalEcho {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
        let options = LocalActivityOptions::builder().start_to_close_timeout(Duration::from_secs(10)).build();
        Ok(ctx.execute_local_activity(Texts::shout, text, options).await?)
    }
}

#[workflow]
#[derive(Default)]
pub struct Failing;

#[workflow_methods]
impl Failing {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<()> {
        Ok(ctx.execute_activity(Texts::fail, text, quickly()).await?)
    }
}

#[workflow]
#[derive(Default)]
pub struct Heartbeating;

#[workflow_methods]
impl Heartbeating {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
        Ok(ctx.execute_activity(Texts::remember, text, quickly()).await?)
    }
}

/// Keeps what it is sent.
#[workflow]
#[derive(Default)]
pub struct Mailbox {
    letters: Vec<String>,
    closed: bool,
}

#[workflow_methods]
impl Mailbox {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<usize> {
        ctx.wait_condition(|mailbox| mailbox.closed).await?;
        Ok(ctx.state(|mailbox| mailbox.letters.iter().map(String::len).sum()))
    }

    #[signal]
    pub fn deliver(&mut self, _ctx: &mut SyncWorkflowContext<Self>, letter: String) {
        self.letters.push(letter);
    }

    #[signal]
    pub fn close(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.closed = true;
    }

    #[query]
    #[allow(clippy::needless_pass_by_value)] // The SDK's signature.
    pub fn containing(&self, _ctx: &WorkflowContextView, part: String) -> Option<String> {
        self.letters.iter().find(|letter| letter.contains(&part)).map(|letter| letter.to_uppercase())
    }

    #[update]
    pub fn exchange(&mut self, _ctx: &mut SyncWorkflowContext<Self>, letter: String) -> String {
        let answer = letter.to_uppercase();
        self.letters.push(letter);
        answer
    }
}

#[workflow]
#[derive(Default)]
pub struct Parent;

#[workflow_methods]
impl Parent {
    #[run]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        (child_id, text): (String, String),
    ) -> WorkflowResult<String> {
        let child =
            ctx.start_child_workflow(Echo::run, text, ChildWorkflowOptions::workflow_id(child_id)).await?;
        Ok(child.result().await?)
    }
}

/// Hands its text to a next run of itself, once.
#[workflow]
#[derive(Default)]
pub struct Relay;

#[workflow_methods]
impl Relay {
    #[run]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        (again, text): (bool, String),
    ) -> WorkflowResult<String> {
        if again {
            ctx.continue_as_new((false, text.to_uppercase()), ContinueAsNewOptions::default())?;
        }
        Ok(text)
    }
}

/// Works before and after it is told to go on.
#[workflow]
#[derive(Default)]
pub struct Patient {
    go: bool,
}

#[workflow_methods]
impl Patient {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
        let once = ctx.execute_activity(Texts::shout, text, quickly()).await?;
        ctx.wait_condition(|patient| patient.go).await?;
        let twice = ctx.execute_activity(Texts::shout, once.to_lowercase() + "!", quickly()).await?;
        Ok(twice)
    }

    #[signal]
    pub fn go_on(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.go = true;
    }
}
