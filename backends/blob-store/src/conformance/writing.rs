use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::{BlobKey, ErrorKind, Operation, PutOptions, PutOutcome, Segments};

use super::{Bench, Outcome, ensure, ensure_error, pattern};

/// Longer than the coarsest clock a store tells ages by.
const TICK: Duration = Duration::from_millis(1_100);

pub(super) async fn a_second_put_finds_the_first(bench: &Bench<'_>) -> Outcome {
    for size in [0, 10, 3 << 20] {
        let (key, blob) = (bench.key(&format!("size-{size}"))?, pattern(size));
        bench.round_trip(&key, blob.clone()).await?;
        for _ in 0..2 {
            let outcome = bench.put(&key, blob.clone()).await?;
            ensure(outcome == PutOutcome::AlreadyPresent, || format!("a second put answered {outcome:?}"))?;
        }
        ensure(bench.get(&key).await? == blob, || "a second put changed the blob".into())?;
    }
    Ok(())
}

pub(super) async fn a_second_put_renews_the_age(bench: &Bench<'_>) -> Outcome {
    let mut put = Vec::new();
    for size in [10, 3 << 20] {
        let (key, blob) = (bench.key(&format!("size-{size}"))?, pattern(size));
        bench.put(&key, blob.clone()).await?;
        put.push((modified(bench, &key).await?, key, blob));
    }
    tokio::time::sleep(TICK).await;
    for (before, key, blob) in put {
        let size = blob.len();
        bench.put(&key, blob).await?;
        let after = modified(bench, &key).await?;
        ensure(after > before, || format!("a second put left the age of {size} bytes as it was"))?;
    }
    Ok(())
}

pub(super) async fn touch_renews_the_age(bench: &Bench<'_>) -> Outcome {
    let (key, blob) = (bench.key("touched")?, pattern(1000));
    bench.put(&key, blob.clone()).await?;
    let before = modified(bench, &key).await?;
    tokio::time::sleep(TICK).await;
    bench.store.touch(&key).await.map_err(|error| format!("touch failed: {error}"))?;
    ensure(modified(bench, &key).await? > before, || "touch left the age as it was".into())?;
    ensure(bench.get(&key).await? == blob, || "touch changed the blob".into())
}

pub(super) async fn touching_a_missing_blob_is_not_found(bench: &Bench<'_>) -> Outcome {
    let key = bench.key("missing")?;
    ensure_error(bench.store.touch(&key).await, ErrorKind::NotFound, Operation::Touch, &key)
}

pub(super) async fn a_deleted_blob_is_gone(bench: &Bench<'_>) -> Outcome {
    let key = bench.key("deleted")?;
    bench.delete(&key).await?;
    bench.round_trip(&key, pattern(1000)).await?;
    bench.delete(&key).await?;
    ensure_error(bench.try_get(&key).await, ErrorKind::NotFound, Operation::Get, &key)?;
    bench.delete(&key).await.map_err(|why| format!("a second {why}"))?;
    bench.round_trip(&key, pattern(1001)).await
}

pub(super) async fn more_than_the_store_takes_is_refused(bench: &Bench<'_>) -> Outcome {
    let Some(max) = bench.can.max_blob_size.and_then(|max| usize::try_from(max).ok()) else { return Ok(()) };
    let key = bench.key("too-large")?;
    // One mebibyte again and again: as long as it has to be, without the memory.
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let blob: Segments = std::iter::repeat_n(chunk, max / (1 << 20) + 1).collect();
    let answer = bench.store.put(&key, blob, PutOptions::default()).await;
    ensure_error(answer, ErrorKind::TooLarge, Operation::Put, &key)?;
    ensure_error(bench.try_get(&key).await, ErrorKind::NotFound, Operation::Get, &key)
}

pub(super) async fn the_right_hash_is_accepted(bench: &Bench<'_>) -> Outcome {
    let (key, blob) = (bench.key("hashed")?, pattern(100_000));
    let options = PutOptions::default().with_sha256(Sha256::digest(&blob).into());
    let put = bench.store.put(&key, blob.clone().into(), options).await;
    put.map_err(|error| format!("put with a SHA-256 failed: {error}"))?;
    ensure(bench.get(&key).await? == blob, || "a put with a SHA-256 changed the blob".into())
}

/// A store may verify the hash or not look at it; what it must not do is keep something else than was put.
pub(super) async fn a_wrong_hash_damages_nothing(bench: &Bench<'_>) -> Outcome {
    let (key, blob) = (bench.key("hashed")?, pattern(100_000));
    let options = PutOptions::default().with_sha256([7; 32]);
    match bench.store.put(&key, blob.clone().into(), options).await {
        Ok(_) => ensure(bench.get(&key).await? == blob, || "a wrong SHA-256 changed the blob".into()),
        Err(_) => ensure_error(bench.try_get(&key).await, ErrorKind::NotFound, Operation::Get, &key),
    }
}

/// Callers tell "cannot" from "failed" by the kind, whether they looked at the capabilities or not.
pub(super) async fn what_is_not_declared_is_unsupported(bench: &Bench<'_>) -> Outcome {
    let key = bench.key("present")?;
    bench.put(&key, pattern(10)).await?;
    let answers = [
        (bench.can.head, bench.store.head(&key).await.err()),
        (bench.can.touch, bench.store.touch(&key).await.err()),
        (bench.can.list, bench.store.list(&bench.prefix).await.err()),
        (bench.can.delete, bench.store.delete(&key).await.err()),
    ];
    for error in answers.into_iter().filter(|(declared, _)| !declared).filter_map(|(_, error)| error) {
        ensure(error.kind() == ErrorKind::Unsupported, || {
            format!("what is not declared failed with {:?}: {error}", error.kind())
        })?;
    }
    Ok(())
}

async fn modified(bench: &Bench<'_>, key: &BlobKey) -> Result<SystemTime, String> {
    let info = bench.store.head(key).await.map_err(|error| format!("head failed: {error}"))?;
    info.modified.ok_or_else(|| "it declares ages and tells none".to_owned())
}
