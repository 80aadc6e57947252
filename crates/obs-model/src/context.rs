//! Who and what a piece of work is for, carried along with the work itself.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task;

use arrayvec::ArrayVec;
use triomphe::UniqueArc;

use crate::{Baggage, CorrelationId, SpanId, TraceId};

/// The longest text that a context field keeps, in bytes; a longer one is cut at a character.
const MAX_TEXT_BYTES: usize = 256;

/// Who and what a piece of work is for.
///
/// A context is immutable and cheap to clone. The current one belongs to the running task: it is set for a
/// future with [`WithContext::in_context`] and follows it to whichever thread polls it next, or for a stretch of
/// synchronous code with [`Context::enter`]. It works under any executor.
///
/// A task spawned from another does not inherit its context by itself; wrap it:
///
/// ```
/// use obs_model::{Context, WithContext};
///
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// let context = Context::new().with_organization("acme");
/// let seen = async {
///     tokio::spawn(async { Context::current() }.in_current_context()).await
/// }
/// .in_context(context)
/// .await;
/// assert_eq!(seen.unwrap().organization(), Some("acme"));
/// # });
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context(Option<triomphe::Arc<Fields>>);

#[derive(Clone, Default, PartialEq, Eq)]
struct Fields {
    correlation: Option<CorrelationId>,
    trace: Option<TraceId>,
    span: Option<SpanId>,
    baggage: Option<Baggage>,
    /// Apart, because most work has none of them.
    texts: Option<Arc<Texts>>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Texts {
    user: Option<Arc<str>>,
    organization: Option<Arc<str>>,
    agent: Option<Arc<str>>,
    session: Option<Arc<str>>,
    request: Option<Arc<str>>,
    workflow: Option<Arc<str>>,
    execution: Option<Arc<str>>,
    step: Option<Arc<str>>,
    tool: Option<Arc<str>>,
}

/// How many contexts of work that ended a thread keeps for work that begins.
const SPARE: usize = 16;

thread_local! {
    static CURRENT: RefCell<Context> = const { RefCell::new(Context(None)) };
    /// Without what they were about.
    static ENDED: RefCell<ArrayVec<UniqueArc<Fields>, SPARE>> =
        const { RefCell::new(ArrayVec::new_const()) };
}

/// Makes the getter and the setter of the text fields.
macro_rules! text_fields {
    ($($field:ident, $with:ident, $doc:literal;)*) => {
        /// Text fields. A value longer than 256 bytes is cut at a character.
        impl Context {
            $(
                #[doc = $doc]
                #[must_use]
                pub fn $field(&self) -> Option<&str> {
                    self.0.as_ref()?.texts.as_ref()?.$field.as_deref()
                }

                #[doc = concat!("This context with `", stringify!($field), "` set.")]
                #[must_use]
                pub fn $with(self, value: impl Into<Arc<str>>) -> Self {
                    let value = bounded(value.into());
                    self.change(|fields| {
                        Arc::make_mut(fields.texts.get_or_insert_default()).$field = Some(value);
                    })
                }
            )*

            /// The text fields that are set, by name, in a fixed order.
            pub fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
                [$((stringify!($field), self.$field())),*]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
            }
        }

        impl Texts {
            fn fill_from(&mut self, outer: &Self) {
                $(self.$field = self.$field.take().or_else(|| outer.$field.clone());)*
            }
        }
    };
}

text_fields! {
    user, with_user, "Who asked for the work.";
    organization, with_organization, "On whose behalf.";
    agent, with_agent, "The agent that does the work.";
    session, with_session, "In which session or conversation.";
    request, with_request, "The id of the request as the caller or a proxy named it.";
    workflow, with_workflow, "The workflow that is running, as one execution's id or its name.";
    execution, with_execution, "The id of this execution of that workflow, where `workflow` is its name.";
    step, with_step, "The step of that workflow.";
    tool, with_tool, "The tool that the step is calling.";
}

impl Fields {
    fn fill_from(&mut self, outer: &Self) {
        self.correlation = self.correlation.take().or_else(|| outer.correlation.clone());
        self.trace = self.trace.or(outer.trace);
        self.span = self.span.or(outer.span);
        self.baggage = self.baggage.take().or_else(|| outer.baggage.clone());
        match (&mut self.texts, &outer.texts) {
            (Some(own), Some(outer)) => Arc::make_mut(own).fill_from(outer),
            (own, outer) => *own = own.take().or_else(|| outer.clone()),
        }
    }
}

impl Context {
    /// A context that says nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// The context of work that begins: what ties it together, and the span that it is done in.
    #[must_use]
    #[inline]
    pub fn of_work(correlation: CorrelationId, trace: TraceId, span: SpanId) -> Self {
        // OK because a thread whose locals are gone makes a new one.
        let spare = ENDED.try_with(|ended| ended.try_borrow_mut().ok()?.pop()).ok().flatten();
        let mut fields = spare.unwrap_or_else(|| UniqueArc::new(Fields::default()));
        fields.correlation = Some(correlation);
        fields.trace = Some(trace);
        fields.span = Some(span);
        Self(Some(fields.shareable()))
    }

    /// Drops the context of work that ended. Where nobody else holds it, its memory is used for the next
    /// [`Context::of_work`] on this thread.
    #[inline]
    pub fn end_work(self) {
        let Some(fields) = self.0 else { return };
        let Ok(mut fields) = triomphe::Arc::try_unique(fields) else { return };
        (fields.correlation, fields.baggage, fields.texts) = (None, None, None);
        // OK because what a thread does not keep is freed.
        let _ = ENDED.try_with(|ended| ended.try_borrow_mut().ok()?.try_push(fields).ok());
    }

    /// The context of the running task or of the enclosing [`Context::enter`].
    #[must_use]
    pub fn current() -> Self {
        Self::with_current(Self::clone)
    }

    /// Looks at the current context without cloning it.
    ///
    /// Returns what `look` does for an empty context when the thread is already ending.
    pub fn with_current<R>(mut look: impl FnMut(&Self) -> R) -> R {
        match CURRENT.try_with(|current| current.try_borrow().ok().map(|context| look(&context))) {
            Ok(Some(result)) => result,
            _ => look(&Self::new()),
        }
    }

    /// Makes this the current context of this thread until the guard is dropped.
    ///
    /// For synchronous code only: a guard held across an `.await` would leak into other tasks, so it cannot
    /// be sent between threads. Use [`WithContext::in_context`] for futures.
    #[must_use = "the context is current only while the guard lives"]
    pub fn enter(self) -> ContextGuard {
        ContextGuard { previous: Some(swap_current(self)), not_send: PhantomData }
    }

    /// Makes this the current context of this thread until the guard is dropped, and has it back then: as
    /// [`Context::enter`], for a context that stays with its owner and is entered again and again.
    #[must_use = "the context is current only while the guard lives"]
    #[inline]
    pub fn lend(&mut self) -> LentContext<'_> {
        let is_lent = swap_with_current(self);
        LentContext { context: self, is_lent, not_send: PhantomData }
    }

    /// The id that ties together everything done for one request.
    #[must_use]
    pub fn correlation(&self) -> Option<&CorrelationId> {
        self.0.as_ref()?.correlation.as_ref()
    }

    /// This context with the correlation id set.
    #[must_use]
    pub fn with_correlation(self, id: CorrelationId) -> Self {
        self.change(|fields| fields.correlation = Some(id))
    }

    /// The trace that the work belongs to.
    #[must_use]
    pub fn trace(&self) -> Option<TraceId> {
        self.0.as_ref()?.trace
    }

    /// This context with the trace id set.
    #[must_use]
    pub fn with_trace(self, id: TraceId) -> Self {
        self.change(|fields| fields.trace = Some(id))
    }

    /// The innermost span of that trace.
    #[must_use]
    pub fn span(&self) -> Option<SpanId> {
        self.0.as_ref()?.span
    }

    /// This context with the span id set.
    #[must_use]
    pub fn with_span(self, id: SpanId) -> Self {
        self.change(|fields| fields.span = Some(id))
    }

    /// What the caller sent along, by names that were agreed on.
    #[must_use]
    pub fn baggage(&self) -> Option<&Baggage> {
        self.0.as_ref()?.baggage.as_ref()
    }

    /// This context with other baggage.
    #[must_use]
    pub fn with_baggage(self, baggage: Baggage) -> Self {
        self.change(|fields| fields.baggage = Some(baggage))
    }

    /// This context, with every field that it leaves unset taken from `outer`.
    #[must_use]
    pub fn or(self, outer: &Self) -> Self {
        match (&self.0, &outer.0) {
            (None, _) => outer.clone(),
            (_, None) => self,
            (Some(_), Some(fill)) => self.change(|fields| fields.fill_from(fill)),
        }
    }

    /// Whether no field was ever set: a cheap form of [`Context::is_empty`].
    #[must_use]
    pub const fn is_unset(&self) -> bool {
        self.0.is_none()
    }

    /// Whether no field is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|fields| **fields == Fields::default())
    }

    fn change(mut self, set: impl FnOnce(&mut Fields)) -> Self {
        set(triomphe::Arc::make_mut(self.0.get_or_insert_default()));
        self
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_map();
        if let Some(id) = self.correlation() {
            out.entry(&"correlation", &id.as_str());
        }
        if let Some(id) = self.trace() {
            out.entry(&"trace", &format_args!("{id}"));
        }
        if let Some(id) = self.span() {
            out.entry(&"span", &format_args!("{id}"));
        }
        if let Some(baggage) = self.baggage() {
            out.entry(&"baggage", &format_args!("{baggage}"));
        }
        out.entries(self.texts()).finish()
    }
}

/// Restores the previous context when dropped; made by [`Context::enter`].
#[derive(Debug)]
pub struct ContextGuard {
    previous: Option<Context>,
    not_send: PhantomData<*const ()>,
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        if let Some(previous) = self.previous.take() {
            drop(swap_current(previous));
        }
    }
}

/// Puts a context on a future, so that it is current whenever the future is polled.
pub trait WithContext: Future + Sized {
    /// This future, with `context` current while it runs.
    fn in_context(self, context: Context) -> InContext<Self> {
        InContext { future: self, context }
    }

    /// This future, with the context that is current here and now: for handing work to `tokio::spawn`.
    fn in_current_context(self) -> InContext<Self> {
        self.in_context(Context::current())
    }
}

impl<F: Future> WithContext for F {}

pin_project_lite::pin_project! {
    /// A future with a context of its own; made by [`WithContext`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InContext<F> {
        #[pin]
        future: F,
        context: Context,
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let this = self.project();
        let _lent = this.context.lend();
        this.future.poll(cx)
    }
}

/// Gives the context back to its owner when dropped; made by [`Context::lend`].
#[derive(Debug)]
pub struct LentContext<'a> {
    context: &'a mut Context,
    is_lent: bool,
    not_send: PhantomData<*const ()>,
}

impl Drop for LentContext<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_lent {
            swap_with_current(self.context);
        }
    }
}

/// Exchanges `context` with the current one, unless that is being looked at; whether it was.
#[inline]
fn swap_with_current(context: &mut Context) -> bool {
    let swap = |current: &RefCell<Context>| match current.try_borrow_mut() {
        Ok(mut current) => {
            std::mem::swap(&mut *current, context);
            true
        }
        Err(_) => false,
    };
    // OK because a thread whose locals are gone has no later work to carry a context for.
    CURRENT.try_with(swap).unwrap_or(false)
}

/// Makes `context` current and returns the one that was.
fn swap_current(context: Context) -> Context {
    CURRENT
        .try_with(|current| match current.try_borrow_mut() {
            Ok(mut current) => std::mem::replace(&mut *current, context),
            Err(_) => Context::new(),
        })
        // OK because a thread whose locals are gone has no later work to carry a context for.
        .unwrap_or_default()
}

/// Cuts a text at the last character that ends within the bound.
fn bounded(text: Arc<str>) -> Arc<str> {
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    Arc::from(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_begins_knows_nothing_of_work_that_ended() {
        let ids = |number: u64| {
            let id = format!("id-{number}").parse::<CorrelationId>().unwrap();
            (id, TraceId::new(number.into()).unwrap(), SpanId::new(number).unwrap())
        };
        let begin = |number| {
            let (correlation, trace, span) = ids(number);
            Context::of_work(correlation, trace, span)
        };
        let baggage = Baggage::default();
        let first = begin(1).with_user("ann").with_baggage(baggage);
        let held = first.clone();
        first.end_work();
        assert_eq!((held.user(), held.trace()), (Some("ann"), TraceId::new(1)));
        held.end_work();
        for number in 2..3 * SPARE as u64 {
            let several: Vec<_> = (0..number).map(|more| begin(number + more)).collect();
            for (more, context) in (0..).zip(several) {
                let (correlation, trace, span) = ids(number + more);
                assert_eq!(context.correlation(), Some(&correlation));
                assert_eq!((context.trace(), context.span()), (Some(trace), Some(span)));
                assert_eq!((context.user(), context.baggage()), (None, None));
                context.end_work();
            }
        }
        assert!(ENDED.with_borrow(ArrayVec::is_full));
    }

    #[test]
    fn a_guard_restores_the_context_that_was_current() {
        let _outer = Context::new().with_user("outer").enter();
        {
            let _inner = Context::new().with_user("inner").enter();
            assert_eq!(Context::current().user(), Some("inner"));
        }
        assert_eq!(Context::current().user(), Some("outer"));
    }

    #[test]
    fn a_lent_context_comes_back_to_its_owner() {
        let _outer = Context::new().with_user("outer").enter();
        let mut own = Context::of_work(
            "req-42".parse().expect("a valid id"),
            TraceId::new(7).expect("not zero"),
            SpanId::new(8).expect("not zero"),
        );
        let copy = own.clone();
        for _ in 0..2 {
            let _lent = own.lend();
            assert_eq!(Context::current(), copy);
        }
        assert_eq!(own, copy);
        assert_eq!(own.correlation().map(CorrelationId::as_str), Some("req-42"));
        assert_eq!((own.trace(), own.span()), (TraceId::new(7), SpanId::new(8)));
        assert_eq!(Context::current().user(), Some("outer"));
    }

    #[test]
    fn a_context_is_restored_after_a_panic() {
        let result = std::panic::catch_unwind(|| {
            let _entered = Context::new().with_user("panicked").enter();
            panic!("on purpose");
        });
        assert!(result.is_err());
        assert!(Context::current().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_context_follows_its_task_across_threads_and_spawns() {
        let tasks: Vec<_> = (0..64)
            .map(|number| {
                let name: Arc<str> = format!("user-{number}").into();
                let context = Context::new().with_user(name.clone());
                tokio::spawn(
                    async move {
                        for _ in 0..20 {
                            tokio::task::yield_now().await;
                            assert_eq!(Context::current().user(), Some(&*name));
                        }
                        let inner = async { Context::current() }.in_current_context();
                        let seen =
                            tokio::spawn(inner).await.expect("the inner task does not panic");
                        assert_eq!(seen.user(), Some(&*name));
                    }
                    .in_context(context),
                )
            })
            .collect();
        for task in tasks {
            task.await.expect("no task sees another's context");
        }
        assert!(Context::current().is_empty());
    }

    #[test]
    fn unset_fields_are_filled_from_the_outer_context() {
        let outer = Context::new().with_user("u").with_step("plan");
        let inner = Context::new().with_step("query").with_tool("execute_sql").or(&outer);
        assert_eq!(
            (inner.user(), inner.step(), inner.tool()),
            (Some("u"), Some("query"), Some("execute_sql"))
        );
        assert_eq!(Context::new().or(&outer), outer);
        assert_eq!(
            inner.texts().collect::<Vec<_>>(),
            [("user", "u"), ("step", "query"), ("tool", "execute_sql")]
        );
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let context = Context::new().with_user("é".repeat(200));
        assert_eq!(context.user().map(str::len), Some(256));
        let context = Context::new().with_user(format!("a{}", "é".repeat(200)));
        assert_eq!(context.user().map(str::len), Some(255));
    }
}
