//! Which CSV is an error, however it is cut into pieces.

use super::Watch;

fn error_in(text: &str) -> Option<String> {
    let mut whole = Watch::default();
    whole.see(text.as_bytes());
    let mut bytewise = Watch::default();
    text.as_bytes().chunks(1).for_each(|byte| bytewise.see(byte));
    let found = whole.finish();
    assert_eq!(bytewise.finish(), found);
    found
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
