//! Requests to IPS: SOAP 1.1 envelopes, document/literal.

use secrecy::ExposeSecret;

use super::xml::escape_text;
use crate::provider::Credentials;

/// Namespace of the envelope.
pub(super) const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Namespace of credentials and faults, whatever the API's version.
pub(super) const COMMON: &str = "http://www.scene7.com/IpsApi/xsd";

/// The namespace of operations of an API version such as `2014-04-03`.
pub(super) fn namespace(version: &str) -> String {
    format!("{COMMON}/{version}")
}

/// The envelope that asks IPS to drop `urls` from the CDN's cache.
pub(super) fn invalidation(
    namespace: &str,
    credentials: &Credentials,
    company_handle: &str,
    urls: &[&str],
) -> Vec<u8> {
    let bytes: usize = urls.iter().map(|url| url.len() + 24).sum();
    let mut body = Body::open(namespace, credentials, "cdnCacheInvalidationParam", bytes);
    body.leaf("companyHandle", company_handle);
    body.array("urlArray", urls.iter().copied());
    body.close("cdnCacheInvalidationParam")
}

/// The envelope that asks for a company's handle by its name.
pub(super) fn company_by_name(namespace: &str, credentials: &Credentials, name: &str) -> Vec<u8> {
    let mut body = Body::open(namespace, credentials, "getCompanyInfoParam", 256);
    body.leaf("companyName", name);
    body.close("getCompanyInfoParam")
}

/// The envelope that asks for a company by its handle.
pub(super) fn company_by_handle(
    namespace: &str,
    credentials: &Credentials,
    handle: &str,
) -> Vec<u8> {
    let mut body = Body::open(namespace, credentials, "getCompanyInfoParam", 256);
    body.leaf("companyHandle", handle);
    body.close("getCompanyInfoParam")
}

/// The envelope that asks whether the credentials are those of an account.
pub(super) fn login(namespace: &str, credentials: &Credentials) -> Vec<u8> {
    let mut body = Body::open(namespace, credentials, "checkLoginParam", 256);
    body.secret("email", credentials, USER);
    body.secret("password", credentials, PASSWORD);
    body.close("checkLoginParam")
}

/// The envelope that asks for a company's image presets.
pub(super) fn image_formats(namespace: &str, credentials: &Credentials, handle: &str) -> Vec<u8> {
    let mut body = Body::open(namespace, credentials, "getImageFormatsParam", 256);
    body.leaf("companyHandle", handle);
    body.close("getImageFormatsParam")
}

/// Roles of secrets, by the names of their elements in `authHeader`
/// (`ips-api-header-and-faults.xsd`).
pub(super) const USER: &str = "user";
pub(super) const PASSWORD: &str = "password";
pub(super) const ACCESS_TOKEN: &str = "accessToken";

/// An envelope being written; children must be added in the schema's order.
pub(super) struct Body(String);

impl Body {
    pub(super) fn open(
        namespace: &str,
        credentials: &Credentials,
        parameter: &str,
        bytes: usize,
    ) -> Self {
        let mut body = Self(String::with_capacity(1024 + bytes));
        body.0
            .push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope");
        body.attribute("xmlns:soapenv", ENVELOPE);
        body.0.push_str("><soapenv:Header><authHeader");
        body.attribute("xmlns", COMMON);
        body.0.push('>');
        for role in [USER, PASSWORD, ACCESS_TOKEN] {
            if let Some(secret) = credentials.get(role) {
                body.leaf(role, secret.expose_secret());
            }
        }
        body.leaf("appName", env!("CARGO_PKG_NAME"));
        body.leaf("appVersion", env!("CARGO_PKG_VERSION"));
        body.leaf("gzipResponse", "true");
        body.0
            .push_str("</authHeader></soapenv:Header><soapenv:Body><");
        body.0.push_str(parameter);
        body.attribute("xmlns", namespace);
        body.0.push('>');
        body
    }

    /// `value` is one of ours and holds nothing to be escaped.
    fn attribute(&mut self, name: &str, value: &str) {
        self.0.extend([" ", name, "=\"", value, "\""]);
    }

    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.0
            .extend(["<", name, ">", &escape_text(text), "</", name, ">"]);
    }

    fn secret(&mut self, name: &str, credentials: &Credentials, role: &str) {
        let secret = credentials.get(role);
        self.leaf(name, secret.map_or("", ExposeSecret::expose_secret));
    }

    /// An array of texts, under `items` each.
    pub(super) fn array<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        self.0.extend(["<", name, ">"]);
        for text in texts {
            self.leaf("items", text);
        }
        self.0.extend(["</", name, ">"]);
    }

    pub(super) fn close(mut self, parameter: &str) -> Vec<u8> {
        self.0
            .extend(["</", parameter, "></soapenv:Body></soapenv:Envelope>\n"]);
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        let mut credentials = Credentials::default();
        credentials.insert("user", "ci@acme.com".to_owned().into());
        credentials.insert("password", "p<&>\"w".to_owned().into());
        credentials
    }

    #[test]
    fn an_invalidation_is_written_in_the_order_of_the_schema() {
        let urls = ["https://s7d1.scene7.com/is/image/A/b:C?$p$&x=%24,{d}>+'"];
        let body = invalidation(&namespace("2013-02-15"), &credentials(), "c|6", &urls);
        insta::assert_snapshot!(String::from_utf8(body).unwrap().replace("><", ">\n<").replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
        <soapenv:Header>
        <authHeader xmlns="http://www.scene7.com/IpsApi/xsd">
        <user>ci@acme.com</user>
        <password>p&lt;&amp;&gt;"w</password>
        <appName>freshen</appName>
        <appVersion>VERSION</appVersion>
        <gzipResponse>true</gzipResponse>
        </authHeader>
        </soapenv:Header>
        <soapenv:Body>
        <cdnCacheInvalidationParam xmlns="http://www.scene7.com/IpsApi/xsd/2013-02-15">
        <companyHandle>c|6</companyHandle>
        <urlArray>
        <items>https://s7d1.scene7.com/is/image/A/b:C?$p$&amp;x=%24,{d}&gt;+'</items>
        </urlArray>
        </cdnCacheInvalidationParam>
        </soapenv:Body>
        </soapenv:Envelope>
        "#);
    }

    #[test]
    fn a_company_is_asked_for_by_name() {
        let body = company_by_name(&namespace("2014-04-03"), &credentials(), "Acme & Co");
        let text = String::from_utf8(body).unwrap();
        let (_, body) = text.split_once("<soapenv:Body>").unwrap();
        insta::assert_snapshot!(body, @r#"<getCompanyInfoParam xmlns="http://www.scene7.com/IpsApi/xsd/2014-04-03"><companyName>Acme &amp; Co</companyName></getCompanyInfoParam></soapenv:Body></soapenv:Envelope>"#);
    }
}
