//! From one file to its manifests: parse, check, convert; no document stops another.

use std::sync::Arc;

use super::asset_set::{self, AssetSetWire};
use super::canonical;
use super::cdn::{self, CdnWire};
use super::check::check;
use super::convert::convert;
use super::metadata::{self, MetadataWire};
use super::node::{Document, Node};
use super::problem::{Place, Problem};
use super::scalar::{Form as _, Name};
use super::schema::{API_VERSION, Kinds, ProviderSchemas, Shape};
use super::source::{Source, SourceFile};
use super::spec::{AssetSetSpec, CdnSpec, Manifest, Step, TemplateSpec};
use super::suggest::nearest;
use super::template::{self, TemplateWire};
use super::yaml;

/// The kinds of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Cdn,
    Template,
    AssetSet,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Cdn, Self::Template, Self::AssetSet];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cdn => "Cdn",
            Self::Template => "Template",
            Self::AssetSet => "AssetSet",
        }
    }
}

/// What documents are checked against, compiled once.
pub(super) struct Shapes {
    cdn: Shape,
    template: Shape,
    asset_set: Shape,
    providers: Vec<&'static str>,
}

impl Shapes {
    pub(super) fn new(providers: &ProviderSchemas) -> Self {
        let kinds = Kinds::new(providers);
        Self {
            cdn: Shape::new(&kinds.cdn),
            template: Shape::new(&kinds.template),
            asset_set: Shape::new(&kinds.asset_set),
            providers: providers.keys().copied().collect(),
        }
    }

    fn of(&self, kind: Kind) -> &Shape {
        match kind {
            Kind::Cdn => &self.cdn,
            Kind::Template => &self.template,
            Kind::AssetSet => &self.asset_set,
        }
    }
}

/// What a file held.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) found: Vec<Found>,
    pub(super) problems: Vec<Problem>,
    /// Part of the file could not be read so far that we know whose it is.
    pub(super) is_incomplete: bool,
}

/// A manifest that was named, whether or not it can be used.
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Where the name stands.
    pub(super) place: Place,
    /// `None` where it has errors.
    pub(super) content: Option<Content>,
}

/// A manifest that can be used, as far as it alone can tell.
#[derive(Clone)]
pub(super) enum Content {
    Cdn(Arc<Manifest<CdnSpec>>),
    Template(Arc<Manifest<TemplateSpec>>),
    AssetSet(Arc<Manifest<AssetSetSpec>>),
}

/// Reads all documents of a file.
pub(super) fn read_file(file: &SourceFile, shapes: &Shapes) -> Reading {
    let source = Arc::new(Source::new(Arc::clone(&file.name), Arc::clone(&file.bytes)));
    let parsed = yaml::parse(&source, &file.bytes);
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut reading = Reading {
        is_incomplete: parsed.failure.is_some(),
        ..Reading::default()
    };
    for tree in parsed.documents {
        let document = Document {
            file: Arc::clone(&file.name),
            root_index: file.root,
            folder: folder.to_owned(),
            digest: canonical::digest(&tree.root),
            root: tree.root,
            source: Arc::clone(&source),
        };
        read_document(&Arc::new(document), tree.problems, shapes, &mut reading);
    }
    reading.problems.extend(parsed.failure);
    reading
}

fn read_document(
    document: &Arc<Document>,
    mut problems: Vec<Problem>,
    shapes: &Shapes,
    reading: &mut Reading,
) {
    let is_clean = problems.is_empty();
    reading.problems.append(&mut problems);
    let kind = match kind_of(document) {
        Ok(kind) => kind,
        Err(problem) => {
            reading.problems.push(*problem);
            reading.is_incomplete = true;
            return;
        }
    };
    let mut own = check_document(document, kind, shapes);
    let mut content = None;
    if is_clean && own.is_empty() {
        match to_content(document, kind, shapes) {
            Ok(read) => content = Some(read),
            Err(problem) => own.push(*problem),
        }
    }
    reading.problems.append(&mut own);
    let path = [Step::Key("metadata"), Step::Key("name")];
    let name = document.root.at(&path).and_then(Node::text);
    match name.filter(|name| Name::parse(name).is_ok()) {
        Some(name) => reading.found.push(Found {
            kind,
            name: name.to_owned(),
            place: document.place(&path),
            content,
        }),
        None => reading.is_incomplete = true,
    }
}

fn kind_of(document: &Document) -> Result<Kind, Box<Problem>> {
    let error = |code, path: &[Step<'_>], message: String| {
        let place = document.place(path);
        Problem::error(code, Some(place), message)
    };
    let root = &document.root;
    if root.pairs().is_empty() {
        let problem = error("not-a-manifest", &[], "the document is no manifest".into());
        let hint = "start it with `apiVersion: freshen/v1` and `kind:`";
        return Err(Box::new(problem.hint(hint)));
    }
    let version = root.get("apiVersion").and_then(Node::text);
    if version != Some(API_VERSION) {
        return Err(Box::new(wrong_version(version, &error)));
    }
    let named = root.get("kind").and_then(Node::text);
    let Some(named) = named else {
        let problem = error("missing-field", &[], "the manifest has no `kind`".into());
        return Err(Box::new(
            problem.hint("it is `Cdn`, `Template` or `AssetSet`"),
        ));
    };
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == named)
        .ok_or_else(|| {
            let message = format!("unknown kind `{named}`");
            let problem = error("unknown-kind", &[Step::Key("kind")], message);
            Box::new(match nearest(named, Kind::ALL.map(Kind::name)) {
                Some(kind) => problem.hint(format!("did you mean `{kind}`?")),
                None => problem.hint("it is `Cdn`, `Template` or `AssetSet`"),
            })
        })
}

fn wrong_version(
    version: Option<&str>,
    error: &dyn Fn(&'static str, &[Step<'_>], String) -> Problem,
) -> Problem {
    match version {
        None => error(
            "missing-field",
            &[],
            "the document has no `apiVersion`, so it is no manifest".into(),
        )
        .hint("add `apiVersion: freshen/v1`, or list the file in .freshenignore"),
        Some(version) if version.starts_with("freshen") => {
            let message = format!("this version does not read apiVersion `{version}`");
            error("api-version", &[Step::Key("apiVersion")], message)
                .hint("it reads `freshen/v1`; a newer freshen may read this one")
        }
        Some(version) => {
            let message = format!("apiVersion `{version}` is none of freshen's");
            error("api-version", &[Step::Key("apiVersion")], message)
                .hint("write `freshen/v1`, or list the file in .freshenignore")
        }
    }
}

/// Everything wrong with a document in itself.
fn check_document(document: &Document, kind: Kind, shapes: &Shapes) -> Vec<Problem> {
    let root = &document.root;
    let mut problems = check(document, root, shapes.of(kind), kind.name(), root);
    problems.extend(metadata::check(document));
    match kind {
        Kind::Cdn if root.get("spec").is_some() => {
            problems.extend(
                cdn::provider(document, &shapes.providers)
                    .err()
                    .map(|it| *it),
            );
        }
        Kind::Template if problems.is_empty() => problems.extend(template::check(document)),
        Kind::Cdn | Kind::Template | Kind::AssetSet => {}
    }
    problems
}

fn to_content(
    document: &Arc<Document>,
    kind: Kind,
    shapes: &Shapes,
) -> Result<Content, Box<Problem>> {
    let shape = shapes.of(kind);
    let part = |name| (document.root.nearest(&[Step::Key(name)]), shape.field(name));
    let (spec, spec_shape) = part("spec");
    Ok(match kind {
        Kind::Cdn => {
            let (provider, block) = cdn::provider(document, &shapes.providers)?;
            let common = without(spec, provider);
            let wire: CdnWire = convert(document, &common, spec_shape)?;
            let spec = cdn::to_spec(wire, provider, block);
            Content::Cdn(to_manifest(document, part("metadata"), spec)?)
        }
        Kind::Template => {
            let wire: TemplateWire = convert(document, spec, spec_shape)?;
            let spec = template::to_spec(wire, document);
            Content::Template(to_manifest(document, part("metadata"), spec)?)
        }
        Kind::AssetSet => {
            let wire: AssetSetWire = convert(document, spec, spec_shape)?;
            let spec = asset_set::to_spec(wire);
            Content::AssetSet(to_manifest(document, part("metadata"), spec)?)
        }
    })
}

fn to_manifest<S>(
    document: &Arc<Document>,
    (node, shape): (&Node, &Shape),
    spec: S,
) -> Result<Arc<Manifest<S>>, Box<Problem>> {
    let wire: MetadataWire = convert(document, node, shape)?;
    let annotations = wire.annotations.unwrap_or_default().into_iter();
    let formerly = wire.formerly.unwrap_or_default().into_iter();
    Ok(Arc::new(Manifest {
        name: wire.name.0.label,
        formerly: formerly.map(|name| name.0.label).collect(),
        annotations: annotations.map(|(key, text)| (key, text.0)).collect(),
        spec,
        document: Arc::clone(document),
    }))
}

/// The mapping without one of its fields.
fn without(node: &Node, field: &str) -> Node {
    let pairs = node.pairs().iter();
    let kept = pairs.filter(|(key, _)| key.text() != Some(field));
    Node {
        value: super::node::Value::Mapping(kept.cloned().collect()),
        span: node.span,
    }
}
