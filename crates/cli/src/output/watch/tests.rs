//! Which CSV is an error, however it is cut into pieces.

use super::Watch;

/// What passes, and the error that is kept.
fn split(text: &str) -> (String, Option<String>) {
    let run = |piece: usize| {
        let mut watch = Watch::default();
        let mut data = Vec::new();
        for bytes in text.as_bytes().chunks(piece) {
            watch.see(bytes);
            data.extend(watch.take());
        }
        let error = watch.finish();
        data.extend(watch.take());
        (String::from_utf8(data).unwrap(), error)
    };
    let found = run(usize::MAX);
    assert_eq!(run(1), found);
    found
}

fn error_in(text: &str) -> Option<String> {
    split(text).1
}

#[test]
fn data_passes_and_errors_do_not() {
    let data = "name,tags,time,v\nm,,0,1\n\nname,tags,time,w\nm,,0,\"a\n\nerror\nb\"\n";
    assert_eq!(split(data), (data.to_owned(), None));
    let both = format!("{data}\nerror\nlimit reached\n\nerror\nnot executed\n");
    assert_eq!(split(&both), (data.to_owned(), Some("limit reached".to_owned())));
    assert_eq!(split("error\ndatabase not found: nope\n").0, "");
    let flux = "#datatype,string\r\n,result,v\r\n,,1\r\n\r\n";
    let failed = format!("{flux}#datatype,string,string\r\n,error,reference\r\n,\"a\",\r\n");
    assert_eq!(split(&failed).0, "#datatype,string\r\n,result,v\r\n,,1\r\n");
    assert_eq!(split(flux), (flux.to_owned(), None));
    let wide = format!("{}\n1\n", "c,".repeat(100_000));
    assert_eq!(split(&wide), (wide.clone(), None));
}

#[test]
fn errors_are_found_at_the_start_and_after_rows() {
    assert_eq!(error_in("error\ndatabase not found: nope\n").as_deref(), Some("database not found: nope"));
    let flux = "#datatype,string,long\r\n,result,table,_value\r\n,,0,1\r\n\r\n\
                #datatype,string,string\r\n,error,reference\r\n,\"a \"\"b\"\", c\",\r\n";
    assert_eq!(error_in(flux).as_deref(), Some("a \"b\", c"));
    assert_eq!(
        error_in("name,tags,time,v\nm,,0,1\n\nerror\nlimit reached").as_deref(),
        Some("limit reached")
    );
}

#[test]
fn data_is_no_error() {
    assert_eq!(error_in(""), None);
    assert_eq!(error_in("name,tags,error\nm,,error\n,error,\nerror\nx\n"), None, "only a header counts");
    assert_eq!(error_in(",result,table,_value\r\n,,0,\"a\n\nerror\nb\"\r\n"), None, "inside quotes");
}
