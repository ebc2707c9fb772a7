//! A schedule keeps the arguments of the workflow it starts.

use std::time::Duration;

use temporalio_client::WorkflowGetResultOptions;
use temporalio_client::schedules::{
    CreateScheduleOptions, ScheduleAction, ScheduleOverlapPolicy, ScheduleSpec,
};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeScheduleRequest;
use tonic::IntoRequest as _;

use crate::lab::{Lab, NAMESPACE, eventually, large, references};
use crate::workflows::Echo;

#[tokio::test(flavor = "multi_thread")]
async fn schedule() {
    let lab = Lab::new("schedule").await;
    let _worker = lab.worker();
    let text = large("schedule");
    let action = ScheduleAction::start_workflow(Echo::run, text.clone(), &lab.name, lab.workflow_id());
    let options = CreateScheduleOptions::builder()
        .action(action)
        .spec(ScheduleSpec::from_interval(Duration::from_secs(86_400)))
        .build();
    let schedule = lab.client.create_schedule("schedule-test", options).await.unwrap();
    let request =
        DescribeScheduleRequest { namespace: NAMESPACE.into(), schedule_id: "schedule-test".into() };
    let mut service = lab.client.connection().workflow_service();
    let kept = service.describe_schedule(request.into_request()).await.unwrap().into_inner();
    assert_eq!(references(&kept), 1);
    schedule.trigger(ScheduleOverlapPolicy::Unspecified, Default::default()).await.unwrap();

    let started = eventually("the scheduled workflow", async || {
        use futures_util::TryStreamExt as _;
        let query = format!("WorkflowId STARTS_WITH '{}'", lab.workflow_id());
        lab.client.list_workflows(query, Default::default()).try_next().await.unwrap()
    })
    .await;
    let handle = lab.client.get_workflow_handle::<Echo>(started.id());
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, format!("{text}!"));
    lab.history_of(started.id(), "").await.assert_offloaded(
        &[
            (EventType::WorkflowExecutionStarted, 1),
            (EventType::ActivityTaskScheduled, 1),
            (EventType::ActivityTaskCompleted, 1),
            (EventType::WorkflowExecutionCompleted, 1),
        ],
        &[&text, &text.to_uppercase()],
    );
    schedule.delete(Default::default()).await.unwrap();
}
