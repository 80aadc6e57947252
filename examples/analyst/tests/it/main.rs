//! The service as its users meet it: over HTTP, and as a program.

mod binary;
mod load;
mod model;
mod service;
mod support;
