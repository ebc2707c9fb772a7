//! Everything that carries a payload.

use temporal_claim_check::{ClaimCheckCodec, ReferenceFormat};
use temporalio_client::{
    ClientOptions, WorkflowExecuteUpdateOptions, WorkflowGetResultOptions, WorkflowQueryOptions,
    WorkflowSignalOptions,
};
use temporalio_common::MemoValues;
use temporalio_common::error::ApplicationFailure;
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeWorkflowExecutionRequest;
use tonic::IntoRequest as _;

use crate::lab::{Lab, NAMESPACE, RunningWorker, THRESHOLD, client, contains, eventually, large, references};
use crate::workflows::{Echo, Failing, Heartbeating, LocalEcho, Mailbox, Parent, Relay};

#[tokio::test(flavor = "multi_thread")]
async fn workflow_and_activity_input_and_result() {
    let lab = Lab::new("echo").await;
    let _worker = lab.worker();
    lab.echo().await;
    // The activity's input is the workflow's: content addressing stores it once.
    let keys = lab.keys().await;
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("v0:ns:default:d:sha256:")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_payloads_stay_inline() {
    let lab = Lab::new("small").await;
    let _worker = lab.worker();
    let handle = lab.client.start_workflow(Echo::run, "hello".to_owned(), lab.start_options()).await.unwrap();
    assert_eq!(handle.get_result(WorkflowGetResultOptions::default()).await.unwrap(), "hello!");
    lab.history().await.assert_offloaded(&[], &[]);
    assert_eq!(lab.keys().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn local_activity() {
    let lab = Lab::new("local").await;
    let _worker = lab.worker();
    let text = large("local");
    let handle = lab.client.start_workflow(LocalEcho::run, text.clone(), lab.start_options()).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, text.to_uppercase());
    let started = (EventType::WorkflowExecutionStarted, 1);
    let completed = (EventType::WorkflowExecutionCompleted, 1);
    let marker = (EventType::MarkerRecorded, 1);
    lab.history().await.assert_offloaded(&[started, marker, completed], &[&text, &text.to_uppercase()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_details() {
    let lab = Lab::new("failure").await;
    let _worker = lab.worker();
    let text = large("failure");
    let handle = lab.client.start_workflow(Failing::run, text.clone(), lab.start_options()).await.unwrap();
    let error = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap_err();
    assert_eq!(details(&error).as_deref(), Some(text.to_uppercase().as_str()), "{error:?}");

    lab.history().await.assert_offloaded(
        &[
            (EventType::WorkflowExecutionStarted, 1),
            (EventType::ActivityTaskScheduled, 1),
            (EventType::ActivityTaskFailed, 1),
            (EventType::WorkflowExecutionFailed, 1),
        ],
        &[&text, &text.to_uppercase()],
    );
}

/// The details of the application failure somewhere below `error`.
fn details(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let own = error.downcast_ref::<ApplicationFailure>().and_then(|failure| failure.details().unwrap());
    own.or_else(|| details(error.source()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeat_details() {
    let lab = Lab::new("heartbeat").await;
    let _worker = lab.worker();
    let text = large("heartbeat");
    let handle =
        lab.client.start_workflow(Heartbeating::run, text.clone(), lab.start_options()).await.unwrap();
    // The client's own `describe` decodes what it shows.
    let pending = eventually("a pending activity with details", async || {
        let execution = WorkflowExecution { workflow_id: lab.workflow_id(), run_id: String::new() };
        let request =
            DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(execution) };
        let mut service = lab.client.connection().workflow_service();
        let description =
            service.describe_workflow_execution(request.into_request()).await.unwrap().into_inner();
        description.pending_activities.into_iter().find_map(|activity| activity.heartbeat_details)
    })
    .await;
    assert_eq!(references(&pending), 1);
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, text.to_uppercase());
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_query_and_update() {
    let lab = Lab::new("mailbox").await;
    let _worker = lab.worker();
    let handle = lab.client.start_workflow(Mailbox::run, (), lab.start_options()).await.unwrap();

    let (signal, update) = (large("signal"), large("update"));
    handle.signal(Mailbox::deliver, signal.clone(), WorkflowSignalOptions::default()).await.unwrap();
    let answer = handle
        .execute_update(Mailbox::exchange, update.clone(), WorkflowExecuteUpdateOptions::default())
        .await
        .unwrap();
    assert_eq!(answer, update.to_uppercase());
    // Both ways: the part asked for is large, and so is the answer.
    let found =
        handle.query(Mailbox::containing, signal.clone(), WorkflowQueryOptions::default()).await.unwrap();
    assert_eq!(found, Some(signal.to_uppercase()));
    handle.signal(Mailbox::close, (), WorkflowSignalOptions::default()).await.unwrap();
    let total = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(total, signal.len() + update.len());

    lab.history().await.assert_offloaded(
        &[
            (EventType::WorkflowExecutionSignaled, 1),
            (EventType::WorkflowExecutionUpdateAccepted, 1),
            (EventType::WorkflowExecutionUpdateCompleted, 1),
        ],
        &[&signal, &update, &update.to_uppercase()],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn child_workflow() {
    let lab = Lab::new("parent").await;
    let _worker = lab.worker();
    let text = large("child");
    let input = ("parent-child".to_owned(), text.clone());
    let handle = lab.client.start_workflow(Parent::run, input, lab.start_options()).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, format!("{text}!"));

    lab.history().await.assert_offloaded(
        &[
            (EventType::WorkflowExecutionStarted, 1),
            (EventType::StartChildWorkflowExecutionInitiated, 1),
            (EventType::ChildWorkflowExecutionCompleted, 1),
            (EventType::WorkflowExecutionCompleted, 1),
        ],
        &[&text],
    );
    let child = lab.history_of("parent-child", "").await;
    assert_eq!(references(child.events(EventType::WorkflowExecutionStarted)[0]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_as_new() {
    let lab = Lab::new("relay").await;
    let _worker = lab.worker();
    let text = large("relay");
    let handle =
        lab.client.start_workflow(Relay::run, (true, text.clone()), lab.start_options()).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, text.to_uppercase());

    let second = lab.history().await;
    let first = lab.history_of(&lab.workflow_id(), &second.first_run_id()).await;
    let started = (EventType::WorkflowExecutionStarted, 1);
    let continued = (EventType::WorkflowExecutionContinuedAsNew, 1);
    first.assert_offloaded(&[started, continued], &[&text, &text.to_uppercase()]);
    second.assert_offloaded(&[started, (EventType::WorkflowExecutionCompleted, 1)], &[&text.to_uppercase()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn memo() {
    let lab = Lab::new("memo").await;
    let _worker = lab.worker();
    let text = large("memo");
    let mut memo = MemoValues::new();
    memo.insert("note", text.clone());
    let mut options = lab.start_options();
    options.memo = Some(memo);
    let handle = lab.client.start_workflow(Echo::run, "hello".to_owned(), options).await.unwrap();
    handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();

    let description = handle.describe(Default::default()).await.unwrap();
    assert_eq!(description.memo().get::<String>("note").unwrap(), Some(text.clone()));
    lab.history().await.assert_offloaded(&[(EventType::WorkflowExecutionStarted, 1)], &[&text]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipes_format_without_the_plugin() {
    let lab = Lab::new("recipe").await;
    let codec = || {
        let builder = ClaimCheckCodec::builder().store(lab.store.clone()).threshold(THRESHOLD);
        builder.format(ReferenceFormat::ClaimCheckV1).build().unwrap().into_data_converter()
    };
    let _worker =
        RunningWorker::start(lab.name.clone(), ClientOptions::new(NAMESPACE).data_converter(codec()).build());
    let client = client(ClientOptions::new(NAMESPACE).data_converter(codec()).build()).await;
    let text = large("recipe");
    let handle = client.start_workflow(Echo::run, text.clone(), lab.start_options()).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, format!("{text}!"));

    let history = lab.history().await;
    history.assert_offloaded(&[], &[&text, &text.to_uppercase()]);
    let started = history.events(EventType::WorkflowExecutionStarted)[0];
    assert!(contains(&prost::Message::encode_to_vec(started), b"claim-checked"));
    // Random keys: the text is stored as the workflow's input and again as the activity's.
    assert_eq!(lab.keys().await.len(), 4);
}
