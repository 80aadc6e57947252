//! Lets only sampled spans reach the OpenTelemetry layer, so that the others cost next to nothing.
//!
//! This module has the crate's only `unsafe` code.

use std::any::TypeId;
use std::sync::OnceLock;

use opentelemetry::trace::Tracer;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::dispatcher::WeakDispatch;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::tracer::starting;
use crate::ids::SpanIds;
use crate::layer::SpanState;
use crate::thread;

/// Passes on what concerns sampled spans.
pub(crate) struct Gate<S, T> {
    inner: OpenTelemetryLayer<S, T>,
    dispatch: OnceLock<WeakDispatch>,
    /// Kept, because a provider that is dropped shuts its queue down.
    _provider: SdkTracerProvider,
}

impl<S, T> Gate<S, T> {
    pub(super) fn new(inner: OpenTelemetryLayer<S, T>, provider: SdkTracerProvider) -> Self {
        Self { inner, dispatch: OnceLock::new(), _provider: provider }
    }
}

fn sampled<S>(id: &Id, ctx: &Context<'_, S>) -> Option<SpanIds>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ids = ctx.span(id)?.extensions().get::<SpanState>()?.ids;
    ids.sampled.then_some(ids)
}

impl<S, T> Layer<S> for Gate<S, T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.inner.on_register_dispatch(dispatch);
        // OK because a subscriber is registered once.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(ids) = sampled(id, &ctx) else { return };
        self.inner.on_new_span(attrs, id, ctx);
        // The span is started at once, while it is known which ids it has; by itself it would start when it
        // is first entered.
        if let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) {
            starting(ids, || drop(tracing_opentelemetry::get_otel_context(id, &dispatch)));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if sampled(id, &ctx).is_some() {
            self.inner.on_record(id, values, ctx);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        if sampled(id, &ctx).is_some() && sampled(follows, &ctx).is_some() {
            self.inner.on_follows_from(id, follows, ctx);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let span = ctx.event_span(event).map(|span| span.id());
        if !thread::is_suppressed() && span.is_some_and(|id| sampled(&id, &ctx).is_some()) {
            self.inner.on_event(event, ctx);
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if sampled(id, &ctx).is_some() {
            self.inner.on_enter(id, ctx);
        }
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        if sampled(id, &ctx).is_some() {
            self.inner.on_exit(id, ctx);
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        if sampled(&id, &ctx).is_some() {
            self.inner.on_close(id, ctx);
        }
    }

    // SAFETY: The caller may read the pointer as the type that `id` names, for as long as it borrows `self`. For
    // `Self` that is `self`. For any other type the pointer comes from `inner`, which is a field of `self`: it
    // lives and stays in place as long as `self` does, and `inner` promises the same of its own pointers.
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: As above: the promise is passed on unchanged.
        unsafe { self.inner.downcast_raw(id) }
    }
}
