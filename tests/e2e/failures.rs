//! When the store fails, the workflow waits; when it is back, the workflow goes on.

use std::sync::Arc;
use std::time::Duration;

use blob_store::{BlobKey, BlobStore as _, PutOptions};
use temporal_claim_check::ClaimCheckCodec;
use temporal_claim_check::redis::RedisStore;
use temporalio_client::{WorkflowGetResultOptions, WorkflowSignalOptions};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use testkit::redis::RedisServer;

use crate::lab::{Lab, THRESHOLD, eventually, large};
use crate::workflows::{Echo, Patient};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_its_store_gets_a_clear_error_and_starts_nothing() {
    let mut redis = RedisServer::start();
    let lab = Lab::on(&redis, "client-down").await;
    redis.kill();
    let error = lab.client.start_workflow(Echo::run, large("down"), lab.start_options()).await.err().unwrap();
    let text = format!("{error:?}");
    assert!(
        text.contains("put") && text.contains("the connection was refused: is the server running?"),
        "{text}"
    );
    let handle = lab.client.get_workflow_handle::<Echo>(lab.workflow_id());
    assert!(handle.describe(Default::default()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_outlives_an_outage_of_its_store() {
    let dir = tempfile::tempdir().unwrap();
    // It keeps its data, as a store in production has to.
    let mut redis = RedisServer::start_with(&[
        &format!("dir {}", dir.path().display()),
        "appendonly yes",
        "appendfsync always",
    ]);
    let store = Arc::new(RedisStore::connect(&redis.url()).await.unwrap());
    let builder =
        ClaimCheckCodec::builder().store(store.clone()).threshold(THRESHOLD).deadline(Duration::from_secs(1));
    let lab = Lab::with(store, "outage", builder).await;
    let _worker = lab.worker();
    let text = large("outage");
    let handle = lab.client.start_workflow(Patient::run, text.clone(), lab.start_options()).await.unwrap();
    eventually("the first activity", async || {
        let history = lab.history().await;
        (history.events(EventType::WorkflowTaskCompleted).len() >= 2).then_some(())
    })
    .await;

    redis.kill();
    handle.signal(Patient::go_on, (), WorkflowSignalOptions::default()).await.unwrap();
    let failed = eventually("a failed workflow task", async || {
        let history = lab.history().await;
        let failed = history.events(EventType::WorkflowTaskFailed);
        failed.first().map(|event| format!("{event:?}"))
    })
    .await;
    assert!(failed.contains("redis: put"), "{failed}");
    assert!(failed.contains("is the server running?") || failed.contains("the connection"), "{failed}");

    redis.restart();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, text.to_uppercase() + "!");
    lab.history().await.assert_offloaded(
        &[
            (EventType::WorkflowExecutionStarted, 1),
            (EventType::ActivityTaskScheduled, 2),
            (EventType::ActivityTaskCompleted, 2),
            (EventType::WorkflowExecutionCompleted, 1),
        ],
        &[&text, &text.to_uppercase()],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_damaged_fails_the_task_until_it_is_restored() {
    let lab = Lab::new("damaged").await;
    let text = large("damaged");
    let handle = lab.client.start_workflow(Echo::run, text.clone(), lab.start_options()).await.unwrap();
    let key = BlobKey::new(lab.keys().await.remove(0)).unwrap();
    let get = blob_store::GetOptions::at_most(u64::MAX);
    let original = lab.store.get(&key, get).await.unwrap().bytes().await.unwrap();
    let mut damaged = original.to_vec();
    damaged[5_000] ^= 1;
    let replace = async |content: Vec<u8>| {
        lab.store.delete(&key).await.unwrap();
        lab.store.put(&key, content.into(), PutOptions::default()).await.unwrap();
    };
    replace(damaged).await;

    let _worker = lab.worker();
    let failed = eventually("a failed workflow task", async || {
        let history = lab.history().await;
        history.events(EventType::WorkflowTaskFailed).first().map(|event| format!("{event:?}"))
    })
    .await;
    assert!(failed.contains("its SHA-256 differs"), "{failed}");
    assert!(failed.contains(key.as_str()), "{failed}");

    replace(original.to_vec()).await;
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert_eq!(result, text + "!");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_a_clear_error_and_nothing_goes_inline() {
    // Less than an empty server uses.
    let redis = RedisServer::start_with(&["maxmemory 100kb", "maxmemory-policy noeviction"]);
    let lab = Lab::on(&redis, "full").await;
    let error = lab.client.start_workflow(Echo::run, large("full"), lab.start_options()).await.err().unwrap();
    assert!(format!("{error:?}").contains("maxmemory"), "{error:?}");
}
