//! Sampled spans on their way through tracing-opentelemetry.
//!
//! The pipeline keeps spans under its own ids. A span that is exported has a second one in a registry, on which the
//! OpenTelemetry layer works, and the two are told apart here: calls from the pipeline carry the registry's ids, and
//! calls from `OpenTelemetrySpanExt` carry the pipeline's.

use std::any::TypeId;
use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use opentelemetry_sdk::trace::SdkTracerProvider;
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

use super::tracer::{LinkedTracer, starting};
use crate::spans::ids::SpanIds;
use crate::spans::{SpanKey, SpanTable};

type OtelLayer = OpenTelemetryLayer<ExportSpans, LinkedTracer>;

/// The layer that exports, on the spans that are exported.
pub(crate) struct Export {
    pub(crate) layered: Layered<OtelLayer, ExportSpans>,
    /// The same spans, found by the pipeline's ids.
    by_pipeline_id: ExportSpans,
    dispatch: OnceLock<WeakDispatch>,
    /// Kept, because a provider that is dropped shuts its queue down.
    _provider: SdkTracerProvider,
}

impl Export {
    pub(super) fn new(
        layer: OtelLayer,
        provider: SdkTracerProvider,
        spans: Arc<SpanTable>,
    ) -> Self {
        let registry = Arc::new(Registry::default());
        let nothing = nothing(&registry);
        let by_pipeline_id =
            ExportSpans { registry: Arc::clone(&registry), translated: Some((spans, nothing)) };
        let layered = ExportSpans { registry, translated: None }.with(layer);
        Self { layered, by_pipeline_id, dispatch: OnceLock::new(), _provider: provider }
    }

    pub(crate) fn register(&self, dispatch: &Dispatch) {
        self.layered.on_register_dispatch(dispatch);
        // OK because a subscriber is registered once.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    /// Opens the span that is exported. Its parent is not the registry's matter: see [`LinkedTracer`].
    pub(crate) fn open(&self, attributes: &Attributes<'_>) -> Id {
        self.layered.new_span(&Attributes::new_root(attributes.metadata(), attributes.values()))
    }

    /// Starts the span `id` of the pipeline at once, while it is known which ids it has; by itself it would start when
    /// it is first entered.
    pub(crate) fn start(&self, id: &Id, ids: SpanIds) {
        if let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) {
            starting(ids, || drop(tracing_opentelemetry::get_otel_context(id, &dispatch)));
        }
    }

    /// Adds an event that happens in the exported span `inner`.
    pub(crate) fn event(&self, event: &Event<'_>, inner: Id) {
        let named = event.parent().map(|parent| (parent.into_u64(), inner.into_u64()));
        NAMED_PARENT.set(named);
        self.layered.event(event);
        NAMED_PARENT.set(None);
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
        // SAFETY: The pointer comes from a field of `self`, which lives and stays in place as long as `self` does.
        unsafe { self.layered.downcast_raw(id) }
    }
}

thread_local! {
    /// The pipeline's id of the parent that the event at hand names, and the registry's.
    static NAMED_PARENT: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// The spans that are exported.
pub(crate) struct ExportSpans {
    registry: Arc<Registry>,
    /// When the ids are the pipeline's: whose, and a span without data for those that are not exported.
    translated: Option<(Arc<SpanTable>, Id)>,
}

impl<'a> LookupSpan<'a> for ExportSpans {
    type Data = <Registry as LookupSpan<'a>>::Data;

    fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
        if let Some((spans, nothing)) = &self.translated {
            let exported = spans.with(SpanKey::of(id), |state| state.exported.clone()).flatten();
            return self.registry.span_data(exported.as_ref().unwrap_or(nothing));
        }
        match NAMED_PARENT.get() {
            Some((named, inner)) if named == id.into_u64() => {
                self.registry.span_data(&Id::from_u64(inner))
            }
            _ => self.registry.span_data(id),
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
