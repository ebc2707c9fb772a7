//! What the server refuses, and what it never sees.

use std::sync::Arc;
use std::time::Duration;

use temporal_claim_check::ClaimCheckCodec;
use temporal_claim_check::redis::RedisStore;
use temporalio_client::{ClientOptions, WorkflowGetResultOptions, WorkflowStartOptions};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use testkit::redis::RedisServer;

use crate::lab::{self, Lab, NAMESPACE, THRESHOLD, text};
use crate::workflows::Echo;

const LIMIT: usize = 2 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_over_the_servers_limit_fails_without_and_passes_with() {
    // As JSON the text has two quotes more.
    let text = text("limit", LIMIT + 1 - 2);
    let plain = lab::client(ClientOptions::new(NAMESPACE).build()).await;
    let options = WorkflowStartOptions::new("limit", "limit-without").build();
    let error = plain.start_workflow(Echo::run, text.clone(), options).await.err().unwrap();
    assert!(format!("{error:?}").contains("Blob data size exceeds limit"), "{error:?}");

    let lab = Lab::new("limit").await;
    let _worker = lab.worker();
    let handle = lab.client.start_workflow(Echo::run, text.clone(), lab.start_options()).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert!(result == text.clone() + "!");
    assert!(prost::Message::encoded_len(&lab.history().await.0) < 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_of_64_mib() {
    let redis = RedisServer::start();
    let store = Arc::new(RedisStore::connect(&redis.url()).await.unwrap());
    let builder = ClaimCheckCodec::builder()
        .store(store.clone())
        .threshold(THRESHOLD)
        .max_payload_size(100 << 20)
        .deadline(Duration::from_secs(9));
    let lab = Lab::with(store, "huge", builder).await;
    let _worker = lab.worker();
    let text = text("huge", 64 << 20);
    let handle = lab.client.start_workflow(Echo::run, text.clone(), lab.start_options()).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    assert!(result.len() == text.len() + 1 && result.starts_with(&text));
    let history = lab.history().await;
    assert!(prost::Message::encoded_len(&history.0) < 20_000);
    assert_eq!(history.events(EventType::WorkflowExecutionCompleted).len(), 1);
}
