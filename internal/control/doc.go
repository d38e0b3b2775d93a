// Package control is how a mount is found and spoken to by other processes of the same machine.
//
// A mount registers itself in a runtime directory (/run/ossfs for root, $XDG_RUNTIME_DIR/ossfs for
// others): one small JSON file for each mountpoint, an [Entry]. The entry names a Unix socket of mode
// 0600 on which the mount answers HTTP: GET /v1/status, POST /v1/flush, /v1/refresh, /v1/unmount and /v1/leave.
// What takes time answers with JSON lines, any number of progress and then one result; a caller that
// goes away ends its request and nothing else.
//
// The package never looks into a mount and knows no other room: what it carries is given to it.
package control
