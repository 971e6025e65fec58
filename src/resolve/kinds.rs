//! Adobe's asset types, and which of them have URLs of which sort.

/// What Dynamic Media makes of an asset type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Served under `/is/image`: base and preset URLs exist.
    Image,
    /// Served elsewhere: only templates know its URLs.
    Elsewhere,
    /// Cannot be invalidated.
    Unsupported,
    /// A type that we do not know.
    Unknown,
}

const IMAGE: &[&str] = &[
    "Image",
    "ImageSet",
    "SpinSet",
    "AssetSet",
    "Template",
    "PsdTemplate",
    "AnimatedGif",
    "RenderScene",
    "RenderSet",
    "Vignette",
    "LayerView",
    "Watermark",
];

const UNSUPPORTED: &[&str] = &[
    "PostScript",
    "EncapsulatedPostScript",
    "Illustrator",
    "InDesign",
    "PowerPoint",
    "Excel",
    "Word",
    "Rtf",
];

const ELSEWHERE: &[&str] = &[
    "Audio",
    "Cabinet",
    "Catalog",
    "Flash",
    "Font",
    "IccProfile",
    "MasterVideo",
    "Pdf",
    "Svg",
    "Video",
    "VideoCaption",
    "ViewerPreset",
    "Xml",
    "Xsl",
    "Zip",
];

/// How assets of type `kind` are served.
pub fn service_of(kind: &str) -> Service {
    if IMAGE.contains(&kind) {
        Service::Image
    } else if ELSEWHERE.contains(&kind) {
        Service::Elsewhere
    } else if UNSUPPORTED.contains(&kind) {
        Service::Unsupported
    } else {
        Service::Unknown
    }
}

/// The supported type whose name is nearest to `kind`, if any comes near.
pub fn nearest(kind: &str) -> Option<&'static str> {
    let kind = kind.to_lowercase();
    IMAGE
        .iter()
        .chain(ELSEWHERE)
        .map(|known| {
            (
                strsim::damerau_levenshtein(&kind, &known.to_lowercase()),
                *known,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, known)| known)
}
