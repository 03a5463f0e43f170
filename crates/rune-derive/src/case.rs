//! One variant of an error, or a struct: its fields, and an arm of `match` for each method.

use std::collections::BTreeSet;

use proc_macro2::{Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{format_ident, quote};
use syn::{Attribute, Field, Fields, LitStr, Result, Type, Variant};

use crate::answer::Answer;

pub(crate) struct Case<'a> {
    /// `Self`, or `Self::Variant`.
    path: TokenStream,
    fields: &'a Fields,
    answer: Answer,
    /// Where the error is that is passed on.
    inner: Option<(usize, &'a Field)>,
}

impl<'a> Case<'a> {
    pub(crate) fn of_variant(variant: &'a Variant, common: &Answer) -> Result<Self> {
        let name = &variant.ident;
        let mut answer = Answer::read(&variant.attrs)?;
        answer.is_inner |= is_transparent(&variant.attrs) && answer.kind.is_none();
        Self::new(quote!(Self::#name), &variant.fields, answer.or(common))
    }

    pub(crate) fn of_struct(
        fields: &'a Fields,
        attributes: &[Attribute],
        mut answer: Answer,
    ) -> Result<Self> {
        answer.is_inner |= is_transparent(attributes) && answer.kind.is_none();
        Self::new(quote!(Self), fields, answer)
    }

    fn new(path: TokenStream, fields: &'a Fields, answer: Answer) -> Result<Self> {
        let inner = answer.is_inner.then(|| inner_of(fields));
        if matches!(inner, Some(None)) {
            return Err(syn::Error::new_spanned(
                path,
                "no field holds the inner error",
            ));
        }
        Ok(Self {
            path,
            fields,
            answer,
            inner: inner.flatten(),
        })
    }

    pub(crate) fn kind(&self) -> Result<TokenStream> {
        match (&self.answer.kind, &self.inner) {
            (Some(kind), _) => Ok(self.arm(self.fields_in(kind.clone()))),
            (None, Some(_)) => Ok(self.delegated(&quote!(kind))),
            (None, None) => {
                let message = "say its kind: `#[failure(KIND)]`, or `#[failure(inner)]`";
                Err(syn::Error::new_spanned(&self.path, message))
            }
        }
    }

    pub(crate) fn inner(&self) -> Option<TokenStream> {
        let (name, passed_on) = self.passed_on()?;
        Some(self.arm((BTreeSet::from([name]), quote!(Some(#passed_on)))))
    }

    pub(crate) fn help(&self) -> Option<TokenStream> {
        let Some(help) = self.answer.help.clone() else {
            return self.inner.is_some().then(|| self.delegated(&quote!(help)));
        };
        if let Ok(text) = syn::parse2::<LitStr>(help.clone()) {
            return Some(self.arm(self.formatted(&text)));
        }
        let (used, help) = self.fields_in(help);
        let help = if help.to_string() == "None" {
            help
        } else {
            quote!(::rune_core::failure::derived::Help::into_help(#help))
        };
        Some(self.arm((used, help)))
    }

    pub(crate) fn details(&self) -> Option<TokenStream> {
        let list = self.answer.details.as_ref();
        let value = list.map(|list| quote!(::rune_core::failure::derived::to_value(&#list).ok()));
        self.other(value.as_ref(), &quote!(details))
    }

    pub(crate) fn may_pass(&self) -> Option<TokenStream> {
        self.other(self.answer.may_pass.as_ref(), &quote!(may_pass))
    }

    fn other(&self, answer: Option<&TokenStream>, method: &TokenStream) -> Option<TokenStream> {
        match answer {
            Some(expression) => Some(self.arm(self.fields_in(expression.clone()))),
            None => self.inner.is_some().then(|| self.delegated(method)),
        }
    }

    /// The name of the field with the error that is passed on, and that error.
    fn passed_on(&self) -> Option<(String, TokenStream)> {
        let (position, field) = self.inner?;
        let name = name_of(position, field);
        let variable = variable(&name);
        let is_boxed = matches!(&field.ty, Type::Path(path)
            if path.path.segments.last().is_some_and(|last| last.ident == "Box"));
        let passed_on = if is_boxed {
            quote!(&**#variable)
        } else {
            quote!(#variable)
        };
        Some((name, passed_on))
    }

    fn delegated(&self, method: &TokenStream) -> TokenStream {
        let Some((name, passed_on)) = self.passed_on() else {
            return TokenStream::new();
        };
        let call = quote!(::rune_core::failure::Failure::#method(#passed_on));
        self.arm((BTreeSet::from([name]), call))
    }

    /// `PATTERN => EXPRESSION`, with a pattern that takes the fields that the expression uses.
    fn arm(&self, (used, expression): (BTreeSet<String>, TokenStream)) -> TokenStream {
        let path = &self.path;
        let fields = self
            .fields
            .iter()
            .enumerate()
            .filter_map(|(position, field)| {
                let name = name_of(position, field);
                let variable = variable(&name);
                used.contains(&name).then(|| {
                    if let Some(ident) = &field.ident {
                        return quote!(#ident: #variable,);
                    }
                    let position = Literal::usize_unsuffixed(position);
                    quote!(#position: #variable,)
                })
            });
        quote!(#path { #(#fields)* .. } => #expression)
    }

    /// A text with `{field}` in it.
    fn formatted(&self, text: &LitStr) -> (BTreeSet<String>, TokenStream) {
        let value = text.value();
        if !value.contains(['{', '}']) {
            return (BTreeSet::new(), quote!(Some(String::from(#text))));
        }
        let names = self.names();
        let mut used = BTreeSet::new();
        let mut pieces = value.split('{');
        let mut format = pieces.next().unwrap_or_default().to_owned();
        while let Some(piece) = pieces.next() {
            format.push('{');
            if piece.is_empty() {
                // `{{` is a brace of the text.
                format.push('{');
                format.push_str(pieces.next().unwrap_or_default());
                continue;
            }
            let name = piece.split(['}', ':']).next().unwrap_or_default();
            if names.contains(name) {
                used.insert(name.to_owned());
                format.push_str("field_");
            }
            format.push_str(piece);
        }
        let format = LitStr::new(&format, text.span());
        let variables = used.iter().map(|name| variable(name));
        let arguments: Vec<_> = variables.map(|name| quote!(#name = #name)).collect();
        (used, quote!(Some(format!(#format, #(#arguments),*))))
    }

    /// An expression with `.field` in it.
    fn fields_in(&self, expression: TokenStream) -> (BTreeSet<String>, TokenStream) {
        let mut used = BTreeSet::new();
        let expression = with_variables(expression, &self.names(), &mut used);
        (used, expression)
    }

    fn names(&self) -> BTreeSet<String> {
        let fields = self.fields.iter().enumerate();
        fields
            .map(|(position, field)| name_of(position, field))
            .collect()
    }
}

/// Puts variables in the place of `.field` where nothing stands before the dot that has fields.
fn with_variables(
    tokens: TokenStream,
    names: &BTreeSet<String>,
    used: &mut BTreeSet<String>,
) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut replaced = TokenStream::new();
    let mut follows_value = false;
    while let Some(token) = tokens.next() {
        let is_dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        let name = tokens.peek().map(ToString::to_string);
        if let Some(name) = name.filter(|name| is_dot && !follows_value && names.contains(name)) {
            let span = tokens
                .next()
                .map_or_else(Span::call_site, |token| token.span());
            let mut variable = variable(&name);
            variable.set_span(span.resolved_at(Span::call_site()));
            replaced.extend([TokenTree::Ident(variable)]);
            used.insert(name);
            follows_value = true;
            continue;
        }
        let is_keyword = |word: &Ident| {
            ["if", "match", "in", "return"]
                .iter()
                .any(|keyword| word == keyword)
        };
        follows_value = match &token {
            TokenTree::Punct(_) => false,
            TokenTree::Ident(word) => !is_keyword(word),
            TokenTree::Group(_) | TokenTree::Literal(_) => true,
        };
        replaced.extend([match token {
            TokenTree::Group(group) => {
                let inside = with_variables(group.stream(), names, used);
                let mut new = Group::new(group.delimiter(), inside);
                new.set_span(group.span());
                TokenTree::Group(new)
            }
            token => token,
        }]);
    }
    replaced
}

fn name_of(position: usize, field: &Field) -> String {
    field
        .ident
        .as_ref()
        .map_or_else(|| position.to_string(), ToString::to_string)
}

fn variable(field: &str) -> Ident {
    format_ident!("field_{field}")
}

fn is_transparent(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("error")
            && attribute
                .parse_args::<Ident>()
                .is_ok_and(|word| word == "transparent")
    })
}

fn inner_of(fields: &Fields) -> Option<(usize, &Field)> {
    let is_source = |field: &Field| {
        let attributes = &mut field.attrs.iter();
        let is_named = field.ident.as_ref().is_some_and(|name| name == "source");
        is_named
            || attributes.any(|attribute| {
                ["from", "source"]
                    .iter()
                    .any(|name| attribute.path().is_ident(name))
            })
    };
    let mut all = fields.iter().enumerate();
    let only = fields.iter().next().filter(|_| fields.len() == 1);
    all.find(|(_, field)| is_source(field))
        .or_else(|| only.map(|field| (0, field)))
}
