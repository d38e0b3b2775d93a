// Package tests holds what is tested from outside: the shape of the code, and a real mount of a real
// server seen through the kernel.
package tests
