//! Replays and restarts.

use temporalio_client::{
    WorkflowFetchHistoryOptions, WorkflowGetResultOptions, WorkflowQueryOptions, WorkflowSignalOptions,
};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

use crate::lab::{Lab, eventually, large};
use crate::workflows::{Echo, Patient};

#[tokio::test(flavor = "multi_thread")]
async fn replaying_a_finished_history_stores_nothing() {
    let lab = Lab::new("replay").await;
    let text = large("replay");
    let worker = lab.worker();
    let handle = lab.client.start_workflow(Echo::run, text.clone(), lab.start_options()).await.unwrap();
    handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    drop(worker);
    let before = lab.keys().await;
    assert_eq!(before.len(), 3);

    // A worker that never saw the workflow replays it to answer a query.
    let _fresh = lab.worker();
    let answer = handle.query(Echo::small, (), WorkflowQueryOptions::default()).await.unwrap();
    assert_eq!(answer, "here");
    assert_eq!(lab.keys().await, before);

    // So does the SDK's replayer.
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    let plugin = lab.plugin();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options =
                WorkflowReplayerOptions::new().register_workflow::<Echo>().unwrap().worker_plugin(plugin);
            let replayer = WorkflowReplayer::new(options.build()).unwrap();
            replayer.replay_workflow(history).await.unwrap();
        });
    })
    .join()
    .unwrap();
    assert_eq!(lab.keys().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_restarts_in_the_middle_goes_on() {
    let lab = Lab::new("restart").await;
    let text = large("restart");
    let worker = lab.worker();
    let handle = lab.client.start_workflow(Patient::run, text.clone(), lab.start_options()).await.unwrap();
    eventually("the first activity", async || {
        let history = lab.history().await;
        (!history.events(EventType::ActivityTaskCompleted).is_empty()).then_some(())
    })
    .await;
    drop(worker);

    let _worker = lab.worker();
    handle.signal(Patient::go_on, (), WorkflowSignalOptions::default()).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, text.to_uppercase() + "!");
}
