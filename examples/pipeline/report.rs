//! What the programs print.

use futures::future::{BoxFuture, FutureExt as _};
use temporal_claim_check::ReferenceFormat;
use temporalio_client::Client;
use temporalio_common::data_converters::PayloadConversionError;
use temporalio_common::payload_visitor::{
    AsyncPayloadVisitor, PayloadField, PayloadFieldData, PayloadVisitable as _,
};
use temporalio_common::protos::temporal::api::common::v1::{Payload, WorkflowExecution};
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::workflowservice::v1::GetWorkflowExecutionHistoryRequest;
use tonic::IntoRequest as _;

use crate::connect;
use crate::transform::{Statistics, Summary};

type Error = Box<dyn std::error::Error + Send + Sync>;

pub fn new_workflow_id() -> String {
    format!("pipeline-{}", uuid::Uuid::new_v4().simple())
}

pub fn summary(summary: &Summary) {
    let Summary { dataset, records, high, low, positive, neutral, negative, .. } = summary;
    println!("\nSummary of {dataset}: {records} records");
    println!("  {:<14}{:>12}{:>12}{:>12}", "", "min", "average", "max");
    let row = |name, Statistics { min, average, max, .. }| {
        println!("  {name:<14}{min:>12.2}{average:>12.2}{max:>12.2}");
    };
    row("value", summary.value);
    row("words", summary.words);
    row("word length", summary.word_length);
    row("score", summary.score);
    println!("  category      {high} high, {low} low");
    println!("  sentiment     {positive} positive, {neutral} neutral, {negative} negative");
    if !summary.tags.is_empty() {
        let tags: Vec<_> = summary.tags.iter().map(|(tag, count)| format!("{tag} {count}")).collect();
        println!("  top tags      {}", tags.join(", "));
    }
}

/// Shows where each payload of the workflow's history is, and what that makes of the history.
pub async fn history(client: &Client, workflow_id: &str) -> Result<(), Error> {
    let mut events = events(client, workflow_id).await?;
    let size: usize = events.iter().map(prost::Message::encoded_len).sum();
    let mut rows = Vec::new();
    for event in &mut events {
        let number = event.event_id;
        let mut collector = Collector::default();
        event.visit_payloads_mut(&mut collector).await?;
        rows.extend(collector.found.into_iter().map(|(path, payload)| (number, path, payload)));
    }

    println!("\nPayloads in the history of {workflow_id}");
    println!("  {:>5}  {:<42}{:>14}{:>14}", "event", "field", "in the store", "in Temporal");
    let mut without = size;
    for (number, path, payload) in &rows {
        let here = prost::Message::encoded_len(payload);
        let stored = ReferenceFormat::of(payload).and(payload.external_payloads.first());
        let there = stored.and_then(|details| usize::try_from(details.size_bytes).ok());
        without += there.map_or(0, |there| there.saturating_sub(here));
        let there = there.map_or_else(|| "-".to_owned(), bytes);
        println!("  {number:>5}  {:<42}{there:>14}{:>14}", field(path), bytes(here));
    }
    println!("\n  History with the pattern     {:>14}", bytes(size));
    println!("  History without the pattern  {:>14}", bytes(without));
    if let Some(ui) = connect::variable("TEMPORAL_UI") {
        println!("\n  Web UI: {ui}/namespaces/{}/workflows/{workflow_id}", client.options().namespace);
    }
    Ok(())
}

/// The history as the server keeps it, not decoded.
async fn events(client: &Client, workflow_id: &str) -> Result<Vec<HistoryEvent>, Error> {
    let (mut events, mut next_page_token) = (Vec::new(), Vec::new());
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: client.options().namespace.clone(),
            execution: Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: String::new() }),
            next_page_token,
            ..Default::default()
        };
        let mut service = client.connection().workflow_service();
        let page = service.get_workflow_execution_history(request.into_request()).await?.into_inner();
        events.extend(page.history.unwrap_or_default().events);
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            return Ok(events);
        }
    }
}

#[derive(Default)]
struct Collector {
    found: Vec<(&'static str, Payload)>,
}

impl AsyncPayloadVisitor for Collector {
    fn visit<'a>(&'a mut self, field: PayloadField<'a>) -> BoxFuture<'a, Result<(), PayloadConversionError>> {
        let payloads = match field.data {
            PayloadFieldData::Single(payload) => std::slice::from_ref(payload),
            PayloadFieldData::Repeated(payloads) => payloads,
            PayloadFieldData::Payloads(payloads) => &payloads.payloads,
        };
        self.found.extend(payloads.iter().map(|payload| (field.path, payload.clone())));
        async { Ok(()) }.boxed()
    }
}

/// `temporal.api.history.v1.ActivityTaskScheduledEventAttributes.input` is `ActivityTaskScheduled input`.
fn field(path: &str) -> String {
    let mut parts = path.rsplit('.');
    let (name, message) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{} {name}", message.trim_end_matches("EventAttributes"))
}

/// `1234567` is `1,234,567 B`.
fn bytes(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",") + " B"
}
