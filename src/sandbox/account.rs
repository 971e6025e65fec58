//! What the service tells of an account: its login, company and image presets.

use super::faults::Account;
use super::options::Options;
use super::soap::{self, Request, ServiceFault};
use super::world::in_order;

/// Answers `checkLogin`.
pub(super) fn login(
    request: &Request,
    options: &Options,
    account: &Account,
) -> Result<String, ServiceFault> {
    in_order(&request.parameter, &["companyHandle", "email", "password"])?;
    if request.parameter.text_of("companyHandle").is_some() {
        of_company(request, options)?;
    }
    // A password may begin or end with blanks.
    let given = |name| {
        request
            .parameter
            .child(name)
            .map(|child| child.text.as_str())
    };
    let (Some(email), Some(password)) = (given("email"), given("password")) else {
        return Err(missing("email or password"));
    };
    let is_valid = email == options.user && password == options.password && !account.invalid_login;
    let status = if is_valid {
        "ValidLogin"
    } else {
        "InvalidLogin"
    };
    Ok(soap::login(&request.namespace, status))
}

/// Answers `getCompanyInfo`.
pub(super) fn company(
    request: &Request,
    options: &Options,
    account: &Account,
) -> Result<String, ServiceFault> {
    in_order(&request.parameter, &["companyHandle", "companyName"])?;
    let name = account.company.as_ref().unwrap_or(&options.company);
    let asked = |name| request.parameter.text_of(name);
    let is_ours = match (asked("companyHandle"), asked("companyName")) {
        (Some(handle), _) => handle == options.company_handle,
        (None, Some(asked)) => asked == name,
        (None, None) => return Err(missing("company")),
    };
    if !is_ours {
        return Err(ServiceFault::new(20_000, "invalid company"));
    }
    Ok(soap::company(
        &request.namespace,
        (&options.company_handle, name),
        &root_path(options, account),
        account.expires.as_deref(),
    ))
}

/// Where URLs of the company lie, with a slash at its end.
pub(super) fn root_path(options: &Options, account: &Account) -> String {
    let other = account.root_path.clone();
    other.unwrap_or_else(|| format!("{}/", options.root))
}

/// Answers `getImageFormats`.
pub(super) fn image_formats(
    request: &Request,
    options: &Options,
    account: &Account,
) -> Result<String, ServiceFault> {
    in_order(&request.parameter, &["companyHandle"])?;
    of_company(request, options)?;
    let presets = options.presets.iter();
    let presets = presets.filter(|(name, _)| !account.missing_presets.contains(name));
    let presets = presets.map(|(name, modifier)| (name.as_str(), modifier.as_str()));
    Ok(soap::image_formats(&request.namespace, presets))
}

/// Refuses a request that is not about the only company there is.
pub(super) fn of_company(request: &Request, options: &Options) -> Result<(), ServiceFault> {
    match request.parameter.text_of("companyHandle") {
        None | Some("") => Err(missing("companyHandle")),
        Some(handle) if handle == options.company_handle => Ok(()),
        Some(_) => Err(ServiceFault::new(20_000, "invalid company")),
    }
}

fn missing(what: &str) -> ServiceFault {
    ServiceFault::new(30_002, format!("missing parameter: {what}"))
}
