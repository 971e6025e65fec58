//! The service's side of SOAP 1.1: requests in, answers out.

use crate::provider::dynamic_media::xml::{Element, escape_text};

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const COMMON: &str = "http://www.scene7.com/IpsApi/xsd";
/// The last namespace whose invalidations answer with counts.
const LAST_WITH_COUNTS: &str = "2013-02-15";

/// A request as far as it can be understood without knowing the operation.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: String,
    /// Of the operation's parameter: answers go out in the same.
    pub(super) namespace: String,
    pub(super) parameter: Element,
    /// Of the header, where there is one.
    pub(super) credentials: Option<(String, String)>,
    /// What `accessToken` holds.
    pub(super) token: Option<String>,
    /// The status that faults are to have.
    pub(super) fault_status: Option<u16>,
}

/// A fault to answer with.
#[derive(Clone, Debug)]
pub(super) struct ServiceFault {
    pub(super) code: u32,
    pub(super) reason: String,
}

impl ServiceFault {
    pub(super) fn new(code: u32, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }

    fn element(&self) -> &'static str {
        match self.code {
            10_000..=19_999 => "authenticationFault",
            20_000..=29_999 => "authorizationFault",
            _ => "ipsApiFault",
        }
    }

    pub(super) fn envelope(&self) -> String {
        let (element, code, reason) = (self.element(), self.code, escape_text(&self.reason));
        envelope(&format!(
            "<soapenv:Fault><faultcode>soapenv:Server</faultcode><faultstring>{reason}</faultstring>\
             <detail><f:{element} xmlns:f=\"{COMMON}\"><f:code>{code}</f:code>\
             <f:reason>{reason}</f:reason></f:{element}></detail></soapenv:Fault>"
        ))
    }
}

/// The fault for an operation that there is none of.
pub(super) fn unknown_operation(operation: &str) -> String {
    envelope(&format!(
        "<soapenv:Fault><faultcode>soapenv:Client</faultcode>\
         <faultstring>no operation is called {}</faultstring></soapenv:Fault>",
        escape_text(operation)
    ))
}

/// Reads a request; `action` is its `SOAPAction`, quoted or not.
pub(super) fn read(body: &[u8], action: Option<&str>) -> Result<Request, ServiceFault> {
    let invalid = |what: &str| ServiceFault::new(30_003, format!("invalid request XML: {what}"));
    let envelope = Element::parse(body).map_err(|error| invalid(&error.to_string()))?;
    if envelope.namespace != ENVELOPE || envelope.name != "Envelope" {
        return Err(invalid("no SOAP 1.1 envelope"));
    }
    let parameter = envelope
        .child("Body")
        .and_then(|body| body.children.first())
        .ok_or_else(|| invalid("no body"))?
        .clone();
    let named = parameter.name.strip_suffix("Param");
    let action = action.map(|action| action.trim().trim_matches('"'));
    let operation = match (action.filter(|action| !action.is_empty()), named) {
        (Some(action), Some(named)) if action != named => {
            return Err(invalid("SOAPAction and body name different operations"));
        }
        (Some(operation), _) | (None, Some(operation)) => operation.to_owned(),
        (None, None) => return Err(invalid("no operation")),
    };
    if !parameter.namespace.starts_with(&format!("{COMMON}/")) {
        return Err(invalid("the parameter is in none of the API's namespaces"));
    }
    let header = envelope.child("Header").and_then(|header| {
        let headers = &mut header.children.iter();
        headers.find(|child| child.name == "authHeader" && child.namespace == COMMON)
    });
    let text = |name| {
        header
            .and_then(|header| header.child(name))
            .map(|child| child.text.clone())
    };
    Ok(Request {
        operation,
        namespace: parameter.namespace.clone(),
        credentials: text("user").zip(text("password")),
        token: text("accessToken"),
        fault_status: text("faultHttpStatusCode").and_then(|text| text.trim().parse().ok()),
        parameter,
    })
}

/// The answer to `getCompanyInfo`.
pub(super) fn company(
    namespace: &str,
    (handle, name): (&str, &str),
    root_path: &str,
    expires: Option<&str>,
) -> String {
    let mut content = String::from("<companyInfo>");
    leaf(&mut content, "companyHandle", handle);
    leaf(&mut content, "name", name);
    leaf(&mut content, "rootPath", root_path);
    if let Some(expires) = expires {
        leaf(&mut content, "expires", expires);
    }
    content.push_str("</companyInfo>");
    returned(namespace, "getCompanyInfo", &content)
}

/// The answer to `checkLogin`.
pub(super) fn login(namespace: &str, status: &str) -> String {
    let mut content = String::new();
    leaf(&mut content, "status", status);
    returned(namespace, "checkLogin", &content)
}

/// The answer to `getImageFormats`, with the names and URL modifiers of presets.
pub(super) fn image_formats<'p>(
    namespace: &str,
    presets: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> String {
    let mut content = String::from("<imageFormatArray>");
    for (number, (name, modifier)) in presets.into_iter().enumerate() {
        content.push_str("<items>");
        leaf(&mut content, "imageFormatHandle", &format!("f|{number}"));
        leaf(&mut content, "name", name);
        leaf(&mut content, "urlModifier", modifier);
        content.push_str("</items>");
    }
    content.push_str("</imageFormatArray>");
    returned(namespace, "getImageFormats", &content)
}

fn leaf(content: &mut String, name: &str, text: &str) {
    content.extend(["<", name, ">", &escape_text(text), "</", name, ">"]);
}

/// The answer to `cdnCacheInvalidation`, in the form that belongs to its namespace.
pub(super) fn invalidated(namespace: &str, number: u64, urls: usize, seconds: u64) -> String {
    let version = namespace.rsplit('/').next().unwrap_or_default();
    if version.get(..LAST_WITH_COUNTS.len()) <= Some(LAST_WITH_COUNTS) {
        return counts(namespace, urls as u64, 0);
    }
    returned(
        namespace,
        "cdnCacheInvalidation",
        &format!(
            "<invalidationHandle>{number}</invalidationHandle>\
             <estimatedSeconds>{seconds}</estimatedSeconds>"
        ),
    )
}

/// The answer of older namespaces.
pub(super) fn counts(namespace: &str, succeeded: u64, failed: u64) -> String {
    returned(
        namespace,
        "cdnCacheInvalidation",
        &format!(
            "<successCount>{succeeded}</successCount><warningCount>0</warningCount>\
             <errorCount>{failed}</errorCount>"
        ),
    )
}

/// The answer to any operation: `content` is in the schema's order.
pub(super) fn returned(namespace: &str, operation: &str, content: &str) -> String {
    let namespace = quick_xml::escape::escape(namespace);
    envelope(&format!(
        "<{operation}Return xmlns=\"{namespace}\">{content}</{operation}Return>"
    ))
}

fn envelope(content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <soapenv:Envelope xmlns:soapenv=\"{ENVELOPE}\"><soapenv:Body>{content}</soapenv:Body>\
         </soapenv:Envelope>\n"
    )
}
