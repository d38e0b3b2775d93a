// Package budget shares one amount of memory between the parts of a mount.
//
// Memory is counted in bytes, under the class of its use: "ranges", "windows", "uploads", ... The sum over
// all classes never exceeds the total. Who cannot have his bytes at once waits: first come, first served
// within a class, and one class after the other between classes, so that a crowd of one kind cannot starve
// another kind. Nobody overtakes the one whose turn it is: a large request is served in the end.
//
// A budget counts, it does not allocate. Its lock is a leaf: it is never held while anything is called.
package budget
