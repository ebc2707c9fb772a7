use futures_util::StreamExt as _;

use crate::{ErrorKind, GetOptions, Operation, Segments};

use super::{Bench, Outcome, ensure, ensure_error, pattern};

pub(super) async fn it_has_a_name_and_answers(bench: &Bench<'_>) -> Outcome {
    ensure(!bench.store.name().is_empty(), || "its name is empty".into())?;
    bench.store.check().await.map_err(|error| format!("check failed: {error}"))
}

pub(super) async fn what_is_put_is_read(bench: &Bench<'_>) -> Outcome {
    for size in [0, 1, 7, 4096, 65_537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20] {
        bench.round_trip(&bench.key(&format!("size-{size}"))?, pattern(size)).await?;
    }
    let parts = Segments::from_iter([&b"a"[..], b"", b"bcd", b"", b"e"]);
    bench.round_trip(&bench.key("parts")?, parts).await
}

pub(super) async fn a_large_blob_is_read(bench: &Bench<'_>) -> Outcome {
    let most = bench.can.max_blob_size.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let body = pattern(bench.options.largest_blob.min(most));
    let header = pattern(50.min(body.len()));
    let body = body.slice(header.len()..);
    bench.round_trip(&bench.key("large")?, Segments::from_iter([header, body])).await
}

pub(super) async fn a_reader_may_stop_early(bench: &Bench<'_>) -> Outcome {
    let (key, blob) = (bench.key("left")?, pattern((5 << 20) + 1));
    bench.put(&key, blob.clone()).await?;
    for _ in 0..5 {
        let open = bench.store.get(&key, GetOptions::at_most(u64::MAX)).await;
        let mut chunks = open.map_err(|error| format!("get failed: {error}"))?.into_stream();
        let _ = chunks.next().await;
    }
    ensure(bench.get(&key).await? == blob, || "a reader who stopped early spoiled the next one".into())
}

pub(super) async fn a_missing_blob_is_not_found(bench: &Bench<'_>) -> Outcome {
    let key = bench.key("missing")?;
    ensure_error(bench.try_get(&key).await, ErrorKind::NotFound, Operation::Get, &key)?;
    if bench.can.head {
        ensure_error(bench.store.head(&key).await, ErrorKind::NotFound, Operation::Head, &key)?;
    }
    Ok(())
}

pub(super) async fn a_blob_over_the_readers_limit_is_refused(bench: &Bench<'_>) -> Outcome {
    for size in [1, 100, 3 << 20] {
        let key = bench.key(&format!("size-{size}"))?;
        bench.put(&key, pattern(size)).await?;
        let limit = |max| bench.store.get(&key, GetOptions::at_most(max));
        ensure_error(limit(size as u64 - 1).await, ErrorKind::TooLarge, Operation::Get, &key)?;
        let blob =
            limit(size as u64).await.map_err(|error| format!("get of exactly the limit failed: {error}"))?;
        ensure(blob.size() == size as u64, || {
            format!("a blob of {size} bytes was announced with {}", blob.size())
        })?;
    }
    Ok(())
}

pub(super) async fn head_tells_the_size(bench: &Bench<'_>) -> Outcome {
    for size in [0, 12_345, 2 << 20] {
        let key = bench.key(&format!("size-{size}"))?;
        bench.put(&key, pattern(size)).await?;
        let info = bench.store.head(&key).await.map_err(|error| format!("head failed: {error}"))?;
        ensure(info.size == size as u64, || format!("a blob of {size} bytes has size {}", info.size))?;
    }
    Ok(())
}
