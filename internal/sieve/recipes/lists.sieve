# Mail of mailing lists goes into a folder for each list, seen or not.
require ["fileinto", "variables", "mailbox"];

if header :matches "list-id" "*<*.*>*" {
    set :lower :upperfirst "list" "${2}";
    fileinto :create "Lists/${list}";
}
