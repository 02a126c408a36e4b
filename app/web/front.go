package web

import (
	"net/http"

	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/app/school"
)

// latestPosts is how many posts the front page shows.
const latestPosts = 20

// frontView is the front page.
type frontView struct {
	*view
	Schools []schoolBoards // the reader's own school first
	Latest  []listedPost
}

// schoolBoards is a school with its boards.
type schoolBoards struct {
	school.School
	Own    bool
	Boards []board.Board
}

// listedPost is a post in a list that mixes boards.
type listedPost struct {
	post.Post
	Board  board.Board
	School string
}

func (p *Pages) front(w http.ResponseWriter, r *http.Request) error {
	v, err := p.viewOf(w, r, "")
	if err != nil {
		return err
	}
	schools, err := p.Schools.All(r.Context())
	if err != nil {
		return err
	}
	boards, err := p.Boards.All(r.Context())
	if err != nil {
		return err
	}
	posts, err := p.Posts.Latest(r.Context(), latestPosts)
	if err != nil {
		return err
	}
	front := frontView{view: v, Schools: groupBoards(schools, boards, v.Identity.SchoolID)}
	byID := make(map[int64]board.Board, len(boards))
	for _, item := range boards {
		byID[item.ID] = item
	}
	names := make(map[int64]string, len(schools))
	for _, item := range schools {
		names[item.ID] = item.SchoolName
	}
	for _, item := range posts {
		home := byID[item.BoardID]
		front.Latest = append(front.Latest, listedPost{Post: item, Board: home, School: names[home.SchoolID]})
	}
	return p.show(w, r, http.StatusOK, "front", front)
}

// groupBoards sorts boards, the oldest first, under their schools, of which own comes first.
func groupBoards(schools []school.School, boards []board.Board, own int64) []schoolBoards {
	groups := make([]schoolBoards, 0, len(schools))
	place := make(map[int64]int, len(schools))
	for _, isOwn := range []bool{true, false} {
		for _, item := range schools {
			if (item.ID == own) == isOwn {
				place[item.ID] = len(groups)
				groups = append(groups, schoolBoards{School: item, Own: isOwn})
			}
		}
	}
	for i := len(boards) - 1; i >= 0; i-- {
		if at, ok := place[boards[i].SchoolID]; ok {
			groups[at].Boards = append(groups[at].Boards, boards[i])
		}
	}
	return groups
}
