//! C-33 and B-26: leftovers, torn and flipped octets, a second process.

use std::fs;
use std::path::Path;

use super::super::layout::BLOCK;
use super::super::testkit::{accept, message, open, open_on, queue};
use super::super::*;

/// A store with messages 0 to 4, each in a commit of its own, dropped as by a crash; their places.
async fn five(dir: &Path) -> Vec<Place> {
    let (store, _) = open(dir);
    let mut places = Vec::new();
    for n in 0..5 {
        places.push(store.commit(accept(message(n, 1), 1000 + n)).await.unwrap().place.unwrap());
    }
    places
}

fn edit(dir: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join("spool/00000001.log");
    let mut octets = fs::read(&path).unwrap();
    edit(&mut octets);
    fs::write(&path, octets).unwrap();
}

#[tokio::test]
async fn leftover_snapshots_of_the_index_are_repaired() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path()).await;
    fs::write(dir.path().join("db/snap.0000000000000F00.generating"), b"half").unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!((queue(&store).len(), opened.repaired.len()), (5, 1));
    store.close();
    fs::write(dir.path().join("db/snap.FFFFFFFFFFFFFF00"), b"").unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!((queue(&store).len(), opened.repaired.len()), (5, 1), "{opened:?}");
}

#[tokio::test]
async fn a_torn_last_commit_is_cut_off_and_the_log_goes_on() {
    for cut in [8, 100, 150] {
        let dir = tempfile::tempdir().unwrap();
        let places = five(dir.path()).await;
        let last = usize::try_from(u64::from(places[4].offset) / BLOCK * BLOCK).unwrap();
        edit(dir.path(), |octets| octets[last + cut..last + 4096].fill(0));
        let (store, opened) = open(dir.path());
        assert_eq!((queue(&store).len(), opened.damaged.len()), (4, 0), "cut at {cut}");
        store.commit(accept(message(9, 1), 5)).await.unwrap();
        drop(store);
        assert_eq!(queue(&open(dir.path()).0).len(), 5);
    }
}

#[tokio::test]
async fn a_flipped_octet_in_a_frame_damages_that_message_alone() {
    let dir = tempfile::tempdir().unwrap();
    let places = five(dir.path()).await;
    edit(dir.path(), |octets| octets[places[2].offset as usize + 40] ^= 1);
    let (store, _) = open(dir.path());
    assert_eq!(queue(&store).len(), 5);
    for (n, place) in places.iter().enumerate() {
        let read = store.message(*place);
        match n {
            2 => assert!(matches!(read, Err(ReadError::Damaged(why)) if why.contains("segment 1"))),
            _ => assert_eq!(read.unwrap().facts.id, message(n as u64, 1).facts.id),
        }
    }
}

#[tokio::test]
async fn damaged_operations_make_their_messages_wait_anew() {
    let dir = tempfile::tempdir().unwrap();
    let places = five(dir.path()).await;
    let commit = usize::try_from(u64::from(places[2].offset) / BLOCK * BLOCK).unwrap();
    edit(dir.path(), |octets| octets[commit + 70] ^= 1);
    let (store, opened) = open(dir.path());
    assert_eq!((queue(&store).len(), opened.damaged.len()), (5, 1), "{opened:?}");
    assert!(store.message(places[2]).is_ok());
}

#[tokio::test]
async fn a_damaged_commit_header_is_named_and_the_commits_behind_it_live() {
    let dir = tempfile::tempdir().unwrap();
    let places = five(dir.path()).await;
    let commit = usize::try_from(u64::from(places[2].offset) / BLOCK * BLOCK).unwrap();
    edit(dir.path(), |octets| octets[commit + 9] ^= 1);
    let (store, opened) = open(dir.path());
    assert_eq!((queue(&store).len(), opened.damaged.len()), (4, 1), "{opened:?}");
    assert!(opened.damaged[0].contains("segment 1"));
}

#[test]
fn a_second_store_on_one_folder_is_refused_and_told_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, _) = open(dir.path());
    let error = open_on(dir.path(), RealDisk::shared()).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("data folder is in use by process {}", std::process::id())
    );
}

#[tokio::test]
async fn a_lost_index_is_never_replaced_by_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path()).await;
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let error = open_on(dir.path(), RealDisk::shared()).err().unwrap();
    assert!(matches!(error, OpenError::Index(_)), "{error}");
}
