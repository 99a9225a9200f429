// Package testkaniko holds gbuild against kaniko's executor: the same command lines, contexts and registries are given to
// both, and what can be seen afterwards must be the same.
//
// The command lines are in testdata/kaniko, as pipelines have them, and so is what kaniko came to when it was asked
// (TestRecord, which starts it in a container of Docker as CI does). TestLines gives them to the binary that users get, and
// reports each difference; the few that are wanted are written down beside the command line, with the reason. Some of them are
// given to it in a container, too (TestLinesInOwnImage).
//
// It imports nothing of gbuild but what makes bases and registries, and finds an Engine.
package testkaniko
