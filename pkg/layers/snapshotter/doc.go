// Package snapshotter knows how the snapshots of a state are shown to a command as one tree that it can write to, and what the
// file system of a directory is fit for. It works on directories that it is given; it knows no store and no key.
//
// A Place is a directory that is somebody else's, and has a tree for a time; a Holding is the right to that, with a record of what was there.
// A Copy is a tree whose changes are collected. Loose snapshots are moved into it.
//
// # Never
//
// A snapshotter changes nothing of what a store keeps. A snapshot is the directory of what a step changed, whoever has shown it.
package snapshotter
