//! The client, and the five lines that make payloads large: a store, a codec, a plugin.

use temporal_claim_check::redis::RedisStore;
use temporal_claim_check::{ClaimCheckCodec, ClaimCheckPlugin};
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};

/// A client as the environment wants it: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `REDIS_HOST` and `REDIS_PORT` or
/// `REDIS_URL`, `CLAIM_CHECK_ENABLED`, `CLAIM_CHECK_THRESHOLD`.
pub async fn client() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let address = variable("TEMPORAL_ADDRESS").unwrap_or_else(|| "127.0.0.1:7233".to_owned());
    let namespace = variable("TEMPORAL_NAMESPACE").unwrap_or_else(|| "default".to_owned());
    let target: url::Url = format!("http://{address}").parse()?;
    let connection = Connection::connect(ConnectionOptions::new(target).build())
        .await
        .map_err(|error| format!("no Temporal server at {address}: {error}"))?;

    let mut options = ClientOptions::new(namespace);
    if enabled() {
        let mut codec = ClaimCheckCodec::builder().store(RedisStore::from_env().await?);
        if let Some(threshold) = variable("CLAIM_CHECK_THRESHOLD") {
            codec = codec
                .threshold(threshold.parse().map_err(|_| "CLAIM_CHECK_THRESHOLD is not a number of bytes")?);
        }
        options = options.plugin(ClaimCheckPlugin::new(codec.build()?));
    }
    Ok(Client::new(connection, options.build())?)
}

/// Whether the pattern is on: unless `CLAIM_CHECK_ENABLED` says `false`.
pub fn enabled() -> bool {
    variable("CLAIM_CHECK_ENABLED").is_none_or(|value| !value.eq_ignore_ascii_case("false"))
}

pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
