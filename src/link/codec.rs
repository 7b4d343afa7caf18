//! Frames on a socket: four bytes of length, big endian, then a JSON text.
//!
//! Does not know what a frame means. Invariant: no frame is longer than [`MAX_FRAME`], so a broken peer cannot make us
//! allocate without end.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest frame, in bytes: room for some ten thousand apps with their certificates.
pub const MAX_FRAME: u32 = 64 * 1024 * 1024;

/// Writes one message. Not cancellation safe: a cancelled write leaves half a frame behind.
///
/// # Errors
/// When the message is longer than [`MAX_FRAME`] or the socket fails.
pub async fn write<M: Serialize + Sync>(socket: &mut (impl AsyncWrite + Unpin), message: &M) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "message too long for the link"))?;
    socket.write_all(&length.to_be_bytes()).await?;
    socket.write_all(&text).await?;
    socket.flush().await
}

/// Reads one message; `None` at a clean end between frames. Not cancellation safe: run it in a loop of its own.
///
/// # Errors
/// When the frame is too long, ends early, or is not a message.
pub async fn read<M: DeserializeOwned>(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length);
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {length} bytes on the link")));
    }
    let mut text = vec![0; length as usize];
    socket.read_exact(&mut text).await?;
    Ok(Some(serde_json::from_slice(&text)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::{Epoch, FromProxy};

    proptest! {
        /// Whatever comes, in whatever pieces: it is read to an end, and only what was written whole is a message.
        #[test]
        fn what_was_changed_on_its_way_is_no_message_or_another_one(
            at in 0_usize..64, byte in any::<u8>(), cut in 0_usize..64, epoch in any::<u64>()
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut near, mut far) = tokio::io::duplex(256);
                write(&mut near, &FromProxy::Published { epoch: Epoch(epoch) }).await.unwrap();
                drop(near);
                let mut bytes = Vec::new();
                far.read_to_end(&mut bytes).await.unwrap();
                let length = bytes.len();
                if at < length {
                    bytes[at] = byte;
                }
                bytes.truncate(cut);
                if let Ok(Some(_)) = read::<FromProxy>(&mut &bytes[..]).await {
                    assert!(cut >= length || at < length, "a part was read as a message");
                }
            });
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_written_is_read() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let message = FromProxy::Published { epoch: Epoch(7) };
        write(&mut near, &message).await.unwrap();
        drop(near);
        assert_eq!(read::<FromProxy>(&mut far).await.unwrap(), Some(message));
        assert_eq!(read::<FromProxy>(&mut far).await.unwrap(), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_frame_cut_short_or_too_long_is_an_error() {
        let cut: &[u8] = &[0, 0, 0, 9, b'{'];
        assert!(read::<FromProxy>(&mut &*cut).await.is_err());
        let long = (MAX_FRAME + 1).to_be_bytes();
        assert!(read::<FromProxy>(&mut &long[..]).await.is_err());
        let garbage: &[u8] = &[0, 0, 0, 1, b'x'];
        assert!(read::<FromProxy>(&mut &*garbage).await.is_err());
    }
}
