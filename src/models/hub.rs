//! Model files from a model hub over HTTPS, resumed where a broken fetch stopped. Only `premise setup` comes here.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::http::StatusCode;

use super::ModelError;
use super::catalogue::{Hub, ModelFile};

/// Where the hub is and who asks.
pub(super) struct Access<'a> {
    pub(super) endpoint: &'a str,
    pub(super) token: Option<&'a str>,
}

/// What came of a fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The whole file in one go.
    Whole,
    /// The rest of a file whose beginning was already there.
    Resumed,
}

/// Fetches one file into `part`, going on where an earlier fetch stopped. `progress` hears the bytes so far.
pub(super) fn fetch(
    access: &Access<'_>,
    hub: &Hub,
    file: &ModelFile,
    part: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Fetched, ModelError> {
    let path = hub.paths.get(&file.name).unwrap_or(&file.name);
    let endpoint = access.endpoint.trim_end_matches('/');
    let url = format!("{endpoint}/{}/resolve/{}/{path}", hub.repository, hub.revision);
    let present_bytes = fs::metadata(part).map_or(0, |metadata| metadata.len());
    if file.size_bytes == Some(present_bytes) {
        return Ok(Fetched::Resumed);
    }
    let broken = |detail: String| ModelError::Network { what: url.clone(), detail };

    let mut request = agent().get(&url);
    if let Some(token) = access.token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    if present_bytes > 0 {
        request = request.header("Range", format!("bytes={present_bytes}-"));
    }
    let response = request.call().map_err(|error| broken(error.to_string()))?;
    let resumed = match response.status() {
        StatusCode::OK => false,
        StatusCode::PARTIAL_CONTENT => true,
        // The part is longer than the file: begin again at the next call.
        StatusCode::RANGE_NOT_SATISFIABLE => {
            fs::remove_file(part).map_err(|error| ModelError::io("remove", part, error))?;
            return fetch(access, hub, file, part, progress);
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let status = response.status().as_u16();
            return Err(ModelError::Gated { repository: hub.repository.clone(), status });
        }
        status => {
            return Err(ModelError::Hub { url, status: status.as_u16() });
        }
    };

    let mut target = File::options()
        .create(true)
        .write(true)
        .append(resumed)
        .truncate(!resumed)
        .open(part)
        .map_err(|error| ModelError::io("write", part, error))?;
    let mut done_bytes = if resumed { present_bytes } else { 0 };
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = body.read(&mut buffer).map_err(|error| broken(error.to_string()))?;
        if read == 0 {
            break;
        }
        target.write_all(&buffer[..read]).map_err(|error| ModelError::io("write", part, error))?;
        done_bytes += read as u64;
        progress(done_bytes);
    }
    if let Some(size_bytes) = file.size_bytes
        && done_bytes < size_bytes
    {
        return Err(broken(format!("the connection ended after {done_bytes} of {size_bytes} bytes")));
    }
    Ok(if resumed { Fetched::Resumed } else { Fetched::Whole })
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_mins(1)))
        .user_agent("premise")
        .build()
        .into()
}
