//! What is being observed: the service instance, in OpenTelemetry's names.

use std::sync::Arc;

/// The service instance that telemetry comes from.
///
/// Attribute names are those of the OpenTelemetry resource semantic conventions.
///
/// ```
/// use obs_model::Resource;
///
/// let resource = Resource::new("checkout").with_version("1.4.2").with_environment("production");
/// let attributes: Vec<_> = resource.attributes().collect();
/// assert_eq!(attributes[0], ("service.name", "checkout"));
/// assert!(attributes.contains(&("deployment.environment.name", "production")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    service_name: Arc<str>,
    service_version: Option<Arc<str>>,
    environment: Option<Arc<str>>,
    instance: Option<Arc<str>>,
    host: Option<Arc<str>>,
    other: Vec<(Arc<str>, Arc<str>)>,
}

impl Resource {
    /// A resource that has only its `service.name`.
    #[must_use]
    pub fn new(service_name: impl Into<Arc<str>>) -> Self {
        Self {
            service_name: service_name.into(),
            service_version: None,
            environment: None,
            instance: None,
            host: None,
            other: Vec::new(),
        }
    }

    /// This resource with `service.version` set.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<Arc<str>>) -> Self {
        self.service_version = Some(version.into());
        self
    }

    /// This resource with `deployment.environment.name` set.
    #[must_use]
    pub fn with_environment(mut self, environment: impl Into<Arc<str>>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// This resource with `service.instance.id` set.
    #[must_use]
    pub fn with_instance(mut self, instance: impl Into<Arc<str>>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// This resource with `host.name` set.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<Arc<str>>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// This resource with another attribute; one given twice keeps its last value.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.other.retain(|(known, _)| *known != name);
        self.other.push((name, value));
        self
    }

    /// `service.name`.
    #[must_use]
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// `service.version`.
    #[must_use]
    pub fn service_version(&self) -> Option<&str> {
        self.service_version.as_deref()
    }

    /// `deployment.environment.name`.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// Every attribute that is set, `service.name` first.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        [
            ("service.name", Some(&self.service_name)),
            ("service.version", self.service_version.as_ref()),
            ("deployment.environment.name", self.environment.as_ref()),
            ("service.instance.id", self.instance.as_ref()),
            ("host.name", self.host.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, &**value?)))
        .chain(self.other.iter().map(|(name, value)| (&**name, &**value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_given_twice_keeps_its_last_value() {
        let resource = Resource::new("s").with_attribute("a", "1").with_attribute("a", "2");
        assert_eq!(resource.attributes().collect::<Vec<_>>(), [("service.name", "s"), ("a", "2")]);
    }
}
