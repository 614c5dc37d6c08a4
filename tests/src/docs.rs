//! The documents hang together: links lead somewhere, every page can be found, metrics that pages name exist.
//!
//! The check is Python (`tests/docs`). Without the Python that it names in `TIDEMARK_PYTHON` these tests say so and check
//! nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::binary::workspace_root;

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn links(root: &Path) -> Option<(Output, String)> {
    let Some(python) = std::env::var_os("TIDEMARK_PYTHON").filter(|p| PathBuf::from(p).exists()) else {
        println!("skipped: TIDEMARK_PYTHON names no Python (`make test` does)");
        return None;
    };
    let output = Command::new(python)
        .arg(workspace_root().join("tests/docs/links.py"))
        .arg(root)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some((output, text))
}

#[test]
fn links_lead_somewhere_and_every_page_can_be_found() {
    let Some((output, text)) = links(&workspace_root()) else { return };
    assert!(output.status.success(), "{text}");
}

#[test]
fn each_kind_of_broken_document_is_noticed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir_all(dir.path().join("docs/reference")).expect("folders");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a page");
    write("docs/README.md", "# Map\n\n[metrics](reference/metrics.md#all) [start](../README.md)\n");
    write("docs/reference/metrics.md", "# Metrics\n\n## All\n\n`tidemark_ready`\n");
    write(
        "README.md",
        "# It\n\n```\n[no link](nowhere.md)\n```\n\n`[nor this](nowhere.md)`, `tidemark_ready`\n",
    );
    let Some((output, text)) = links(dir.path()) else { return };
    assert!(output.status.success(), "{text}");
    for (page, finding) in [
        ("[a](nowhere.md)\n", "nowhere.md leads nowhere"),
        (
            "[a](docs/reference/metrics.md#none)\n",
            "names a heading that docs/reference/metrics.md does not have",
        ),
        ("[a](../../elsewhere.md)\n", "leads out of the repository"),
        ("`tidemark_no_such_total`\n", "no metric is called tidemark_no_such_total"),
    ] {
        write("README.md", page);
        let Some((output, text)) = links(dir.path()) else { return };
        assert!(output.status.code() == Some(1) && text.contains(finding), "{page:?}: {text}");
    }
    write("README.md", "# It\n");
    write("docs/lost.md", "# Nobody links here\n");
    let Some((output, text)) = links(dir.path()) else { return };
    assert!(output.status.code() == Some(1) && text.contains("docs/lost.md: no way leads here"), "{text}");
}
