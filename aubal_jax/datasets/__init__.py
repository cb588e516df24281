"""Readers of images and labels, and the pipeline that makes batches."""
