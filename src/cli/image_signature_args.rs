//! Which image signatures of a bundle are published.

use clap::{Args, ValueEnum};

use crate::commands::bundle::ImageSignatureChoice;

#[derive(Debug, Args)]
pub(super) struct ImageSignatureArgs {
    /// Image signatures of the builder to publish: auto leaves out those that would hide signatures
    /// which are in tags; always; never
    #[arg(
        long,
        value_enum,
        default_value_t = Choice::Auto,
        value_name = "WHICH",
        hide_possible_values = true
    )]
    image_signatures: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Auto,
    Always,
    Never,
}

impl From<ImageSignatureArgs> for ImageSignatureChoice {
    fn from(args: ImageSignatureArgs) -> Self {
        match args.image_signatures {
            Choice::Auto => Self::Auto,
            Choice::Always => Self::Always,
            Choice::Never => Self::Never,
        }
    }
}
