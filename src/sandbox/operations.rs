//! Everything that the service does, by the operations of its WSDL.

use super::account;
use super::assets::Assets;
use super::soap::{Request, ServiceFault};
use super::world::World;

/// What answers a call that carries these URLs.
type Operation = fn(&mut World, &Request, &[String]) -> Result<String, ServiceFault>;

/// Everything that the service does.
const OPERATIONS: [(&str, Operation); 7] = [
    ("cdnCacheInvalidation", World::invalidate),
    ("checkLogin", |world, request, _| {
        account::login(request, &world.options, &world.faults.account)
    }),
    ("getAssetPublishHistory", |world, request, _| {
        list(world, request, Assets::history)
    }),
    ("getAssetsByName", |world, request, _| {
        list(world, request, Assets::named)
    }),
    ("getCompanyInfo", |world, request, _| {
        account::company(request, &world.options, &world.faults.account)
    }),
    ("getImageFormats", |world, request, _| {
        account::image_formats(request, &world.options, &world.faults.account)
    }),
    ("searchAssets", |world, request, _| {
        list(world, request, Assets::search)
    }),
];

/// The operations of the WSDL that the sandbox serves, by name.
pub fn operations() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|(name, _)| *name)
}

/// The answer of a known operation; `None` where it is unknown.
pub(super) fn perform(
    world: &mut World,
    request: &Request,
    urls: &[String],
) -> Result<Option<String>, ServiceFault> {
    let mut known = OPERATIONS.iter();
    let found = known.find(|(name, _)| *name == request.operation);
    found
        .map(|(_, operation)| operation(world, request, urls))
        .transpose()
}

/// Lists assets of the only company there is.
fn list(
    world: &World,
    request: &Request,
    list: fn(&Assets, &Request) -> Result<String, ServiceFault>,
) -> Result<String, ServiceFault> {
    account::of_company(request, &world.options)?;
    list(&world.assets, request)
}
