//! The Helm of the completeness gate: missing, something else, hanging, refusing, printing what
//! nobody can read.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use crate::{
    bundle::small_bundle::ends_with,
    charts::completeness_support::{App, HELMS},
};

#[test]
fn without_helm_the_command_ends_with_4_and_says_what_to_do() {
    let app = App::new("helm4").locked();
    for arguments in [
        &["lock", "--registry-config", "registries.yaml"][..],
        &app.project.build_arguments("x.tar"),
    ] {
        let mut command = app.project.command(arguments);
        let said = ends_with(
            &command
                .env_remove("RUNE_BUNDLE_HELM")
                .env("PATH", "/nowhere")
                .output()
                .unwrap(),
            4,
        );
        assert!(
            said.contains("no Helm was found") && said.contains("set --helm"),
            "{said}"
        );
    }
    let said = ends_with(&app.build(&["--helm", "no/such/helm"]), 4);
    assert!(said.contains("no/such/helm"), "{said}");
}

#[test]
fn helm_is_found_in_path_and_a_relative_name_is_one_of_the_working_directory() {
    let app = App::new("helm4").locked();
    let directory = app.project.path("bin");
    fs::create_dir(&directory).unwrap();
    // What cannot be run is passed over, as a shell does.
    app.write("first/helm", "no program");
    std::os::unix::fs::symlink(
        crate::charts::support::tool("helm3"),
        directory.join("helm"),
    )
    .unwrap();
    let path = format!(
        "{}:{}",
        app.project.path("first").display(),
        directory.display()
    );
    let mut command = app.project.command(&app.project.build_arguments("x.tar"));
    let said = ends_with(
        &command
            .env_remove("RUNE_BUNDLE_HELM")
            .env("PATH", path)
            .output()
            .unwrap(),
        0,
    );
    assert!(said.contains("by helm v3"), "{said}");
    fs::remove_file(app.project.path("x.tar")).unwrap();
    ends_with(&app.build(&["--helm", "bin/helm"]), 0);
}

#[test]
fn a_program_that_is_not_helm_is_refused() {
    let app = App::new("helm4").locked();
    for (program, answer) in [("/bin/true", "it said ``"), ("/bin/false", "it said ``")] {
        let said = ends_with(&app.build(&["--helm", program]), 4);
        assert!(
            said.contains("is not Helm 3 or 4") && said.contains(answer),
            "{said}"
        );
    }
    app.write("two", "#!/bin/sh\necho v2.17.0\n");
    fs::set_permissions(app.project.path("two"), fs::Permissions::from_mode(0o755)).unwrap();
    let said = ends_with(&app.build(&["--helm", "two"]), 4);
    assert!(said.contains("it said `v2.17.0`"), "{said}");
}

#[test]
fn what_helm_says_about_a_chart_that_it_cannot_render_is_shown() {
    for helm in HELMS {
        let app = App::new(helm).locked();
        app.write(
            "charts/app/templates/x.yaml",
            "{{ fail \"app: choose one database\" }}\n",
        );
        let finding = app.finding();
        assert!(
            finding.starts_with("full+plain: ") && finding.contains("app: choose one database"),
            "{finding}"
        );
        assert!(!finding.contains("/tmp"), "{finding}");
    }
}

#[test]
fn a_chart_that_is_not_for_any_kubernetes_is_named_by_helm() {
    let app = App::new("helm4").locked();
    app.edit(
        "charts/app/Chart.yaml",
        "name: app\n",
        "name: app\nkubeVersion: '>=1.29.0-0 <1.31.0'\n",
    );
    app.is_complete();
    app.edit("charts/app/Chart.yaml", "'>=1.29.0-0 <1.31.0'", "'>=2.0.0'");
    let finding = app.finding();
    assert!(finding.contains("kubeVersion"), "{finding}");
}

#[test]
fn a_helm_that_hangs_is_ended_with_what_it_started() {
    let app = App::new("helm4").locked();
    let pids = app.project.path("pids");
    let script = format!("sleep 1000 & echo $! $$ >>{}\nwait", pids.display());
    let stand_in = app.stand_in(&script);
    let said = ends_with(
        &app.build(&["--helm", stand_in.to_str().unwrap(), "--helm-timeout", "1"]),
        8,
    );
    assert!(
        said.contains("helm did not finish within 1 seconds"),
        "{said}"
    );
    for pid in fs::read_to_string(pids).unwrap().split_whitespace() {
        // A process that was killed takes a moment to be gone on a busy machine; this one would
        // live for a quarter of an hour.
        let is_over = || {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        rune_testkit::poll::wait_until("the process ends", Duration::from_secs(20), is_over);
    }
}

#[test]
fn what_helm_prints_and_nobody_can_read_is_a_finding_and_unused_images_are_not_then() {
    let bomb = (1..40)
        .map(|level| {
            format!(
                "a{level}: &a{level} [{}]\\n",
                format!("*a{},", level - 1).repeat(9)
            )
        })
        .collect::<String>();
    for (script, message) in [
        ("printf 'a: [\\n'".to_owned(), "cannot be read"),
        (format!("printf 'a0: &a0 [x]\\n{bomb}'"), "too many nodes"),
        ("printf '\\377\\376'".to_owned(), "not UTF-8"),
        (
            "yes 'a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb' | head -c 80000000".to_owned(),
            "more than 64 MiB",
        ),
        ("yes -- '---' | head -n 30000".to_owned(), "more than 20000 objects"),
        ("exit 3".to_owned(), "helm cannot render it"),
    ] {
        let app = App::new("helm4").locked();
        let stand_in = app.stand_in(&script);
        let said = ends_with(&app.build(&["--helm", stand_in.to_str().unwrap()]), 8);
        assert!(said.contains(message), "{script}: {said}");
        assert!(!said.contains("no chart uses it"), "{said}");
    }
}

#[test]
fn lookups_are_empty_and_nothing_of_this_machine_is_seen() {
    for helm in HELMS {
        let app = App::new(helm).locked();
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n\
                      data: {found: {{ lookup \"v1\" \"Secret\" \"\" \"\" | toJson | quote }}, address: {{ getHostByName \"localhost\" | quote }}}\n\
                      {{ if lookup \"v1\" \"Namespace\" \"\" \"default\" }}{{ fail \"a cluster was asked\" }}{{ end }}\n";
        app.write("charts/app/templates/m.yaml", object);
        app.write("home/.kube/config", "not even a configuration");
        let mut command = app.project.command(&app.project.build_arguments("x.tar"));
        command
            .env("HOME", app.project.path("home"))
            .env("KUBECONFIG", app.project.path("home/.kube/config"));
        command
            .env("RUNE_BUNDLE_HELM", crate::charts::support::tool(helm))
            .env("HELM_PLUGINS", "/nowhere")
            .env("HELM_NAMESPACE", "x");
        ends_with(&command.output().unwrap(), 0);
    }
}

#[test]
fn nothing_is_left_of_the_directory_in_which_helm_worked() {
    let app = App::new("helm4").locked();
    let temporary = app.project.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let run = |arguments: &[&str], code| {
        let mut command = app
            .project
            .command(&[&app.project.build_arguments("x.tar"), arguments].concat());
        ends_with(&command.env("TMPDIR", &temporary).output().unwrap(), code);
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    };
    run(&["--dry-run"], 0);
    app.write("charts/app/templates/x.yaml", "{{ fail \"no\" }}\n");
    run(&[], 8);
    let stand_in = app.stand_in("mkdir -p \"$HOME/a/b\"; touch \"$HOME/a/b/c\"; exec sleep 1000");
    run(
        &["--helm", stand_in.to_str().unwrap(), "--helm-timeout", "1"],
        8,
    );
}
