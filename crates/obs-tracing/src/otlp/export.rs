//! Spans that stand for those of the pipeline where OpenTelemetry's own calls look for them.
//!
//! The pipeline keeps its spans itself and exports them itself. `OpenTelemetrySpanExt` looks for the span of
//! tracing-opentelemetry's layer, which works on a registry: the first such call about a sampled span makes one that
//! stands for it there, with the same ids. What is said to it joins the span when that closes. The two are told apart
//! here: calls from the pipeline carry the registry's ids, and calls from `OpenTelemetrySpanExt` carry the pipeline's.

use std::any::TypeId;
use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing::dispatcher::WeakDispatch;
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{
    Callsite, Dispatch, Event, Kind, Level, LevelFilter, Metadata, Subscriber, field,
    identify_callsite,
};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::OpenTelemetryContext;
use super::tracer::{LinkedTracer, starting};
use crate::spans::{SpanKey, SpanTable};

type OtelLayer = OpenTelemetryLayer<ExportSpans, LinkedTracer>;

/// The spans that stand for others, and the layer that they are spans of.
pub(crate) struct Export {
    stand_ins: Arc<StandIns>,
    /// The same spans, found by the pipeline's ids.
    by_pipeline_id: ExportSpans,
    pub(crate) context: OpenTelemetryContext,
}

struct StandIns {
    layered: Layered<OtelLayer, ExportSpans>,
    spans: Arc<SpanTable>,
    /// A span without data, which stands for those that are not sampled.
    nothing: Id,
    dispatch: OnceLock<WeakDispatch>,
    /// Kept, because its tracer is of no use without it.
    _provider: SdkTracerProvider,
}

impl Export {
    pub(super) fn new(
        layer: OtelLayer,
        provider: SdkTracerProvider,
        spans: Arc<SpanTable>,
        context: OpenTelemetryContext,
    ) -> Self {
        let registry = Arc::new(Registry::default());
        let stand_ins = Arc::new(StandIns {
            nothing: nothing(&registry),
            layered: ExportSpans { registry: Arc::clone(&registry), translated: None }.with(layer),
            spans,
            dispatch: OnceLock::new(),
            _provider: provider,
        });
        let by_pipeline_id = ExportSpans { registry, translated: Some(Arc::clone(&stand_ins)) };
        Self { stand_ins, by_pipeline_id, context }
    }

    pub(crate) fn register(&self, dispatch: &Dispatch) {
        self.stand_ins.layered.on_register_dispatch(dispatch);
        // OK because a subscriber is registered once.
        let _ = self.stand_ins.dispatch.set(dispatch.downgrade());
    }

    /// Whether OpenTelemetry's current context follows the spans that are entered.
    pub(crate) fn follows_spans(&self) -> bool {
        self.context == OpenTelemetryContext::Entered
    }

    /// Makes the span that stands for `key`.
    pub(crate) fn open(&self, key: SpanKey) {
        self.stand_ins.of(key);
    }

    pub(crate) fn enter(&self, stand_in: &Id) {
        self.stand_ins.layered.enter(stand_in);
    }

    pub(crate) fn exit(&self, stand_in: &Id) {
        self.stand_ins.layered.exit(stand_in);
    }

    /// Closes the span that stood for another, and returns what was said to it.
    pub(crate) fn close(&self, stand_in: Id) -> Option<Box<SpanData>> {
        let outer = ENDED.replace(Some(None));
        self.stand_ins.layered.try_close(stand_in);
        ENDED.replace(outer).flatten()
    }

    /// Finds the parts that `OpenTelemetrySpanExt` asks for.
    ///
    /// # Safety
    ///
    /// As for `Subscriber::downcast_raw`.
    pub(crate) unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<ExportSpans>() {
            return Some(std::ptr::from_ref(&self.by_pipeline_id).cast());
        }
        if id == TypeId::of::<Registry>() {
            // OK because its ids are not those that are known outside.
            return None;
        }
        // SAFETY: The pointer comes from a value behind an `Arc` that `self` holds, so that it lives and stays in place
        // as long as `self` does.
        unsafe { self.stand_ins.layered.downcast_raw(id) }
    }
}

impl StandIns {
    /// The span that stands for `key`, made when it is first asked for; none for what is not sampled.
    fn of(&self, key: SpanKey) -> Option<Id> {
        if !key.is_exported() {
            return None;
        }
        let look = |state: &mut crate::spans::SpanState| {
            (state.stand_in.clone(), state.metadata, state.ids)
        };
        let (known, place, ids) = self.spans.with(key, look)?;
        if known.is_some() || !ids.sampled {
            return known;
        }
        let place = place?;
        let no_values: [(&field::Field, Option<&dyn field::Value>); 0] = [];
        let values = place.fields().value_set(&no_values);
        // OK because the span is not locked meanwhile: of two threads that make one, one finds the other's.
        let made = self.layered.new_span(&Attributes::new_root(place, &values));
        let kept = self
            .spans
            .with(key, |state| state.stand_in.get_or_insert_with(|| made.clone()).clone())?;
        if kept != made {
            self.layered.try_close(made);
        } else if let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) {
            // It starts at once, while it is known which ids it has; by itself it would start when it is first entered.
            starting(ids, || drop(tracing_opentelemetry::get_otel_context(&key.id(), &dispatch)));
        }
        Some(kept)
    }
}

thread_local! {
    /// While a span that stood for another is being closed, what was said to it.
    static ENDED: RefCell<Option<Option<Box<SpanData>>>> = const { RefCell::new(None) };
}

/// Takes what was said to spans that stand for others.
pub(super) struct Said;

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Said")
    }
}

impl SpanProcessor for Said {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // OK because nobody waits for what was said to a span that somebody else ended.
        ENDED.with_borrow_mut(|ended| {
            if let Some(ended) = ended {
                *ended = Some(Box::new(span));
            }
        });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The registry of the spans that stand for others.
pub(crate) struct ExportSpans {
    registry: Arc<Registry>,
    /// Set when the ids are the pipeline's.
    translated: Option<Arc<StandIns>>,
}

impl<'a> LookupSpan<'a> for ExportSpans {
    type Data = <Registry as LookupSpan<'a>>::Data;

    fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
        match &self.translated {
            Some(stand_ins) => {
                let stand_in = stand_ins.of(SpanKey::of(id));
                self.registry.span_data(stand_in.as_ref().unwrap_or(&stand_ins.nothing))
            }
            None => self.registry.span_data(id),
        }
    }
}
impl Subscriber for ExportSpans {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.registry.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.registry.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.registry.max_level_hint()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.registry.new_span(attributes)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.registry.record(id, values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.registry.record_follows_from(id, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.registry.event(event);
    }

    fn enter(&self, id: &Id) {
        self.registry.enter(id);
    }

    fn exit(&self, id: &Id) {
        self.registry.exit(id);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.registry.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.registry.try_close(id)
    }

    fn current_span(&self) -> Current {
        self.registry.current_span()
    }

    // SAFETY: The caller may read the pointer as the type that `id` names, for as long as it borrows `self`. For
    // `Self` that is `self`; the registry is behind an `Arc` that `self` holds, so that it lives and stays in place as
    // long.
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        (id == TypeId::of::<Registry>()).then(|| std::ptr::from_ref(&*self.registry).cast())
    }
}

/// Opens a span that has no data, and stays open.
fn nothing(registry: &Registry) -> Id {
    struct Place;
    static PLACE: Place = Place;
    static METADATA: Metadata<'static> = Metadata::new(
        "not exported",
        "obskit::otlp",
        Level::TRACE,
        None,
        None,
        None,
        field::FieldSet::new(&[], identify_callsite!(&PLACE)),
        Kind::SPAN,
    );
    impl Callsite for Place {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &METADATA
        }
    }
    let no_values: [(&field::Field, Option<&dyn field::Value>); 0] = [];
    registry.new_span(&Attributes::new_root(&METADATA, &METADATA.fields().value_set(&no_values)))
}
