// Package clidoc writes what describes a command line, from the command line itself: manual pages, shell
// completions, and a sample of the configuration file.
//
// A [Program] is the table of commands with their flags, as the program parses them; the texts around it are
// the templates beside this file. Nothing is said twice: what a flag does, takes and defaults to stands where
// the flag is defined.
package clidoc
