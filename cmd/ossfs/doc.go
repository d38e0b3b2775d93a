// Command ossfs mounts an OSS bucket as a Linux filesystem.
//
// It owns the command line: flags and -o options, configuration, the daemon and its log, the state
// directory's place, progress on a terminal, and exit statuses. What a mount does is fs's.
//
// Words: a command is an entry of the table in commands.go; a failure is an error with an exit status
// whose text is one line (what failed, on what, why, what to do); a session is one mount from the
// first check to the last byte sent, run the same way by mount, by mount --foreground and by demo.
//
// Exit statuses: 0 done; 1 it failed; 2 the command line is wrong; 3 something is still unsent.
// Nothing here ever prints or logs a secret.
package main
