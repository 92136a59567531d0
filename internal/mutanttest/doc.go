// Package mutanttest asks of the tests what the tests ask of the code: it breaks each invariant of the design on purpose, one
// small fault at a time, and names the test that has to notice.
//
// It has no production code. Every run of the tests checks that the faults still fit the tree and that the table in
// docs/testing.md is this one. With -mutants each fault is planted in a copy of the tree, and its test must fail there.
package mutanttest
