//! One test's surroundings: a task queue and a Redis prefix of its own on shared servers.

use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use blob_store::BlobStore;
use futures_util::TryStreamExt as _;
use prost::Message as _;
use temporal_claim_check::redis::RedisStore;
use temporal_claim_check::{ClaimCheckBuilder, ClaimCheckCodec, ClaimCheckPlugin};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use temporalio_common::protos::temporal::api::history::v1::{History, HistoryEvent};
use temporalio_common::protos::temporal::api::workflowservice::v1::GetWorkflowExecutionHistoryRequest;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use testkit::redis::RedisServer;
use testkit::temporal::TemporalServer;
use tonic::IntoRequest as _;

use crate::workflows::{self, Echo};

pub static TEMPORAL: LazyLock<TemporalServer> = LazyLock::new(TemporalServer::start);
static REDIS: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);

pub const NAMESPACE: &str = "default";

/// What the tests offload from.
pub const THRESHOLD: usize = 1024;

pub struct Lab {
    pub name: String,
    pub store: Arc<dyn BlobStore>,
    pub client: Client,
    builder: ClaimCheckBuilder,
}

impl Lab {
    /// With the shared Redis.
    pub async fn new(name: &str) -> Self {
        Self::on(&REDIS, name).await
    }

    /// With a Redis that the test may break.
    pub async fn on(redis: &RedisServer, name: &str) -> Self {
        let store = RedisStore::connect(&format!("{}?prefix={name}:", redis.url())).await.unwrap();
        Self::with_store(store, name).await
    }

    /// With a store of the test's own.
    pub async fn with_store(store: impl BlobStore, name: &str) -> Self {
        let store: Arc<dyn BlobStore> = Arc::new(store);
        let builder = ClaimCheckCodec::builder().store(store.clone()).threshold(THRESHOLD);
        Self::with(store, name, builder).await
    }

    /// With a codec of the test's own.
    pub async fn with(store: Arc<dyn BlobStore>, name: &str, builder: ClaimCheckBuilder) -> Self {
        let client = client(with_plugin(&builder)).await;
        Self { name: name.to_owned(), store, client, builder }
    }

    pub fn plugin(&self) -> ClaimCheckPlugin {
        ClaimCheckPlugin::new(self.builder.clone().build().unwrap())
    }

    pub fn start_options(&self) -> WorkflowStartOptions {
        WorkflowStartOptions::new(&self.name, self.workflow_id())
            .execution_timeout(Duration::from_secs(60))
            .build()
    }

    pub fn workflow_id(&self) -> String {
        format!("{}-workflow", self.name)
    }

    /// Runs a worker with a client and codec of its own until the answer is dropped.
    pub fn worker(&self) -> RunningWorker {
        RunningWorker::start(self.name.clone(), with_plugin(&self.builder))
    }

    /// Runs a workflow whose input and result, and whose activity's input and result, are large.
    pub async fn echo(&self) {
        let text = large(&self.name);
        let handle = self.client.start_workflow(Echo::run, text.clone(), self.start_options()).await.unwrap();
        let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
        assert_eq!(result, format!("{text}!"));
        self.history().await.assert_offloaded(
            &[
                (EventType::WorkflowExecutionStarted, 1),
                (EventType::ActivityTaskScheduled, 1),
                (EventType::ActivityTaskCompleted, 1),
                (EventType::WorkflowExecutionCompleted, 1),
            ],
            &[&text, &text.to_uppercase()],
        );
    }

    /// The keys in the store.
    pub async fn keys(&self) -> Vec<String> {
        let listed: Vec<_> = self.store.list("").await.unwrap().try_collect().await.unwrap();
        let mut keys: Vec<_> = listed.into_iter().map(|blob| blob.key.to_string()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The history of the latest run as the server keeps it.
    pub async fn history(&self) -> RawHistory {
        self.history_of(&self.workflow_id(), "").await
    }

    pub async fn history_of(&self, workflow_id: &str, run_id: &str) -> RawHistory {
        let mut events = Vec::new();
        let mut next_page_token = Vec::new();
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: NAMESPACE.into(),
                execution: Some(WorkflowExecution { workflow_id: workflow_id.into(), run_id: run_id.into() }),
                next_page_token,
                ..Default::default()
            };
            let mut service = self.client.connection().workflow_service();
            let page =
                service.get_workflow_execution_history(request.into_request()).await.unwrap().into_inner();
            events.extend(page.history.unwrap_or_default().events);
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                return RawHistory(History { events });
            }
        }
    }
}

fn with_plugin(builder: &ClaimCheckBuilder) -> ClientOptions {
    ClientOptions::new(NAMESPACE).plugin(ClaimCheckPlugin::new(builder.clone().build().unwrap())).build()
}

/// A client of the shared server.
pub async fn client(options: ClientOptions) -> Client {
    let connection = ConnectionOptions::new(TEMPORAL.url().parse::<url::Url>().unwrap()).build();
    Client::new(Connection::connect(connection).await.unwrap(), options).unwrap()
}

/// A worker on a thread and runtime of its own.
pub struct RunningWorker {
    shutdown: Box<dyn Fn() + Send>,
    thread: Option<JoinHandle<()>>,
}

impl RunningWorker {
    pub fn start(task_queue: String, client_options: ClientOptions) -> Self {
        let (ready, shutdown) = std::sync::mpsc::channel::<Box<dyn Fn() + Send>>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let temporal = Runtime::from_current_tokio(Default::default()).unwrap();
                let options = workflows::register(WorkerOptions::new(task_queue)).build();
                let mut worker = Worker::new(&temporal, client(client_options).await, options).unwrap();
                ready.send(Box::new(worker.shutdown_handle())).unwrap();
                worker.run().await.unwrap();
            });
        });
        Self { shutdown: shutdown.recv().expect("the worker starts"), thread: Some(thread) }
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        (self.shutdown)();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().expect("the worker ends well");
        }
    }
}

/// A history nobody has decoded.
pub struct RawHistory(pub History);

impl RawHistory {
    /// Each event type carries so many references in all, no other has any, and none of `data` stands anywhere.
    pub fn assert_offloaded(&self, expected: &[(EventType, usize)], data: &[&str]) {
        let mut found: Vec<_> = Vec::new();
        for event in &self.0.events {
            let bytes = event.encode_to_vec();
            for data in data {
                assert!(data.len() > THRESHOLD);
                assert!(!contains(&bytes, data.as_bytes()), "{:?} has the data", event.event_type());
            }
            let references = references(event);
            match found.iter_mut().find(|(kind, _)| *kind == event.event_type()) {
                Some((_, count)) => *count += references,
                None => found.push((event.event_type(), references)),
            }
        }
        found.retain(|(_, count)| *count > 0);
        let mut expected = expected.to_vec();
        found.sort_by_key(|(kind, _)| *kind as i32);
        expected.sort_by_key(|(kind, _)| *kind as i32);
        assert_eq!(found, expected);
    }

    pub fn events(&self, kind: EventType) -> Vec<&HistoryEvent> {
        self.0.events.iter().filter(|event| event.event_type() == kind).collect()
    }

    pub fn first_run_id(&self) -> String {
        use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
        match self.0.events[0].attributes.as_ref().unwrap() {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                started.first_execution_run_id.clone()
            }
            other => panic!("the first event is {other:?}"),
        }
    }
}

/// How many external storage references a message carries.
pub fn references(message: &impl prost::Message) -> usize {
    let marker = b"temporal.api.sdk.v1.ExternalStorageReference";
    message.encode_to_vec().windows(marker.len()).filter(|window| window == marker).count()
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A text of its own for every name, large enough to be offloaded, and alike to none that is made from it.
pub fn large(name: &str) -> String {
    text(name, 10_000)
}

pub fn text(name: &str, len: usize) -> String {
    let mut text: String = format!("{name}.").repeat(len / (name.len() + 1) + 1);
    text.truncate(len);
    text
}

/// Waits until `ready` answers something.
pub async fn eventually<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(value) = ready().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not happen within 30 s");
}
