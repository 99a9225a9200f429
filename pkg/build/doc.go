// Package build walks a Plan: it keys each Step, runs those whose result is not stored, assembles the image, and reports
// Events while it does.
package build
