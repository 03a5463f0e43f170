//! What an attribute `#[failure(…)]` says.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{
    Attribute, Ident, Token,
    parse::{ParseStream, Result},
};

#[derive(Default, Clone)]
pub(crate) struct Answer {
    pub(crate) kind: Option<TokenStream>,
    pub(crate) is_inner: bool,
    pub(crate) help: Option<TokenStream>,
    pub(crate) details: Option<TokenStream>,
    pub(crate) may_pass: Option<TokenStream>,
}

impl Answer {
    /// What the attributes of a type or variant say.
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut answer = Self::default();
        for attribute in attributes {
            if attribute.path().is_ident("failure") {
                attribute.parse_args_with(|input: ParseStream<'_>| answer.extend(input))?;
            }
        }
        Ok(answer)
    }

    /// What this says, and the rest as `common` says it. What passes an error on says enough.
    pub(crate) fn or(self, common: &Self) -> Self {
        if self.is_inner {
            return self;
        }
        Self {
            kind: self.kind.or_else(|| common.kind.clone()),
            is_inner: false,
            help: self.help.or_else(|| common.help.clone()),
            details: self.details.or_else(|| common.details.clone()),
            may_pass: self.may_pass.or_else(|| common.may_pass.clone()),
        }
    }

    fn extend(&mut self, input: ParseStream<'_>) -> Result<()> {
        while !input.is_empty() {
            let word: Ident = input.parse()?;
            let value = if input.peek(Token![:]) {
                input.parse::<Token![:]>()?;
                Some(until_comma(input)?)
            } else {
                None
            };
            match (word.to_string().as_str(), value) {
                ("inner", help) => {
                    self.is_inner = true;
                    self.help = help;
                }
                ("may_pass", value) => self.may_pass = value.or_else(|| Some(quote!(true))),
                ("kind", Some(kind)) => self.kind = Some(kind),
                ("help", Some(help)) => self.help = Some(help),
                ("details", Some(details)) => self.details = Some(details),
                (kind, help) if kind.starts_with(char::is_uppercase) => {
                    self.kind = Some(quote!(::rune_core::failure::FailureKind::#word));
                    self.help = help;
                }
                _ => {
                    return Err(syn::Error::new(
                        word.span(),
                        "unknown, or without its value",
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }
}

fn until_comma(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}
