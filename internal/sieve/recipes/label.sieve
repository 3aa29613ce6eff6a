# A label before the subject, for mail of one sender; the old subject is kept as Old-Subject.
# Change the label and the expression.
require ["editheader", "variables", "regex"];

if allof (address :regex "from" "^notificacion(es)?@([a-z0-9-]+\\.)*correos\\.es$",
          not header :contains "subject" "[CORREOS]") {
    if header :matches "subject" "*" {
        set "old" "${1}";
        addheader "Old-Subject" "${old}";
        deleteheader "Subject";
        addheader "Subject" "[CORREOS] ${old}";
    }
}
