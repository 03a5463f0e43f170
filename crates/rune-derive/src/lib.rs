//! `#[derive(Failure)]`: what an error is for the user, beside its message.

mod answer;
mod case;

use quote::quote;
use syn::{Data, DeriveInput, parse_macro_input};

use answer::Answer;
use case::Case;

/// Implements `rune_core::failure::Failure` as the attributes `#[failure(…)]` say: words with
/// commas between them, some with an expression after a colon.
///
/// - `Conflict`, or another variant of `FailureKind`: the kind. `kind: EXPRESSION` where it is not
///   always the same.
/// - `inner`: it passes on the error in its field, with kind, help and all else: the field with
///   `#[from]` or `#[source]`, or named `source`, or the only one. `#[error(transparent)]` says so
///   too.
/// - `Conflict: "…"`, `inner: "…"`, `help: "…"`: what to do next. Fields are written as in
///   `#[error("…")]`: `{path}`, `{0}`. Any other expression is a `&str`, a `String` or an `Option`
///   of one of these, and has its fields as `.path`, `.0`.
/// - `details: EXPRESSION`, `may_pass`, `may_pass: EXPRESSION`: as in the trait.
///
/// At the type it is for all variants that do not say otherwise or pass an error on.
#[proc_macro_derive(Failure, attributes(failure))]
pub fn derive_failure(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    implementation(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

fn implementation(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let common = Answer::read(&input.attrs)?;
    let cases = match &input.data {
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| Case::of_variant(variant, &common))
            .collect::<syn::Result<Vec<_>>>()?,
        Data::Struct(data) => vec![Case::of_struct(&data.fields, &input.attrs, common)?],
        Data::Union(_) => return Err(syn::Error::new_spanned(input, "an error is not a union")),
    };
    let name = &input.ident;
    let kind = cases
        .iter()
        .map(Case::kind)
        .collect::<syn::Result<Vec<_>>>()?;
    let mut methods = quote! {
        fn kind(&self) -> ::rune_core::failure::FailureKind {
            match self { #(#kind),* }
        }
    };
    let optional = [
        (
            quote!(inner),
            quote!(Option<&dyn ::rune_core::failure::Failure>),
            quote!(None),
        ),
        (quote!(help), quote!(Option<String>), quote!(None)),
        (
            quote!(details),
            quote!(Option<::rune_core::failure::derived::Value>),
            quote!(None),
        ),
        (quote!(may_pass), quote!(bool), quote!(false)),
    ];
    for ((method, result, otherwise), answer) in
        optional
            .into_iter()
            .zip([Case::inner, Case::help, Case::details, Case::may_pass])
    {
        let arms: Vec<_> = cases.iter().filter_map(answer).collect();
        if arms.is_empty() {
            continue;
        }
        let rest = (arms.len() < cases.len()).then(|| quote!(_ => #otherwise));
        methods.extend(quote! {
            fn #method(&self) -> #result {
                match self { #(#arms,)* #rest }
            }
        });
    }
    Ok(quote! {
        #[automatically_derived]
        impl ::rune_core::failure::Failure for #name { #methods }
    })
}
