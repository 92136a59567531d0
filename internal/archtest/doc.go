// Package archtest holds the shape of the repository: who may import whom, what lies at the top, what the image is made of.
//
// It has no production code. Its tests read the tree, and fail with the rule that a change breaks.
package archtest
