//! An HTTP client of one connection that stays open, so that what is measured is the server.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream), host: address.to_owned() })
    }

    /// The body of the answer, which must be a good one.
    pub(crate) fn get(&mut self, path: &str) -> Result<String, Box<dyn Error>> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(head.as_bytes())?;
        let (status, body) = self.answer()?;
        let text = String::from_utf8(body)?;
        if status != 200 {
            return Err(format!("{path} answered {status}: {text}").into());
        }
        Ok(text)
    }

    /// Sends a remote write; one that is refused is an error.
    pub(crate) fn write(&mut self, body: &[u8]) -> Result<(), Box<dyn Error>> {
        let head = format!(
            "POST /api/v1/write HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(body)?;
        let (status, body) = self.answer()?;
        if status != 204 {
            return Err(format!("answered {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>), Box<dyn Error>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("there is no status")?.parse()?;
        let (mut length, mut is_chunked) = (0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                is_chunked = value.trim() == "chunked";
            }
        }
        let mut body = Vec::new();
        if !is_chunked {
            self.take(length, &mut body)?;
            return Ok((status, body));
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim_end(), 16)?;
            self.take(length, &mut body)?;
            line.clear();
            self.stream.read_line(&mut line)?;
            if length == 0 {
                return Ok((status, body));
            }
        }
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
        let start = body.len();
        body.resize(start + length, 0);
        Ok(self.stream.read_exact(&mut body[start..])?)
    }
}
